"""Writes the same gaze as the programs of many eye trackers do, reads it back, and prints the largest error of each.

    python -m benchmarks.gaze_files [--keep FOLDER]

The files are made here, with the columns, units and origins that the programs document; none is from a device.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from realtime.sources.gaze_files.trace import read_trace
from realtime.sources.gaze_files.trace_values import ClipFacts

SIZE = (1600, 1200)
DURATION_S, RATE_HZ = 4.0, 50
DEVICE_S = 329517.25
"""When the clip's first frame was taken, on the clocks of devices that count from another time."""
EPOCH_S = 1704206942.0


@dataclass(frozen=True, slots=True)
class TrueGaze:
    """A gaze sample: seconds after the clip's first frame, px from the top left."""

    at_s: float
    x: float
    y: float


GAZE = tuple(
    TrueGaze(at / RATE_HZ, 800 + 600 * math.sin(0.7 * at / RATE_HZ), 600 + 450 * math.cos(1.1 * at / RATE_HZ))
    for at in range(int(DURATION_S * RATE_HZ))
)
BLINK = range(100, 110)
"""Samples at which the eyes are closed."""
Line = Callable[[int, TrueGaze, bool], str]


def _lines(header: str, line: Line, end: str = "\n") -> str:
    return end.join([header, *(line(at, gaze, at in BLINK) for at, gaze in enumerate(GAZE))]) + end


def write_plain(path: Path) -> None:
    """Write our own format."""
    path.write_text(_lines("timestamp,x,y,confidence", lambda at, g, blink: f"{g.at_s},{g.x},{g.y},{int(not blink)}"))


def write_spreadsheet(path: Path) -> None:
    """Write as a German spreadsheet: semicolons, decimal commas, UTF-16 with a byte order mark."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        return f"{g.at_s:.3f};{g.x:.2f};{g.y:.2f};{int(not blink)}".replace(".", ",")

    path.write_bytes(("sep=;\r\n" + _lines("timestamp;x;y;confidence", line, "\r\n")).encode("utf-16"))


def write_pupil_player(path: Path) -> None:
    """Write `gaze_positions.csv` and `world_timestamps.csv` of Pupil Player: fractions from the bottom left."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        time, x, y = DEVICE_S + g.at_s, g.x / SIZE[0], 1 - g.y / SIZE[1]
        return f"{time:.6f},{at},{0.0 if blink else 0.97},{x:.8f},{y:.8f},{time:.6f}-0 {time:.6f}-1,,"

    header = "gaze_timestamp,world_index,confidence,norm_pos_x,norm_pos_y,base_data,gaze_point_3d_x,gaze_point_3d_y"
    path.write_text(_lines(header, line))
    path.with_name("world_timestamps.csv").write_text(f"# timestamps [seconds],pts\n{DEVICE_S},0\n")


def write_pupil_cloud(path: Path) -> None:
    """Write `gaze.csv` and `world_timestamps.csv` of Pupil Cloud, for Neon and Invisible."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        time = round((EPOCH_S + g.at_s) * 1e9)
        return f"s,r,{time},{g.x:.3f},{g.y:.3f},1,{'' if blink else 1},{2 if blink else ''},0.1,0.2"

    header = "section id,recording id,timestamp [ns],gaze x [px],gaze y [px],worn,fixation id,blink id,azimuth [deg],"
    path.write_text("\ufeff" + _lines(header + "elevation [deg]", line))
    path.with_name("world_timestamps.csv").write_text(
        f"section id,recording id,timestamp [ns]\ns,r,{round(EPOCH_S * 1e9)}\n"
    )


def write_tobii_pro_lab(path: Path) -> None:
    """Write the data export of Tobii Pro Lab: microseconds, whole px, rows of events and of the mouse between."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        point = "\t" if blink else f"{round(g.x)}\t{round(g.y)}"
        state = "Invalid\tInvalid\tEyesNotFound" if blink else "Valid\tValid\tFixation"
        row = f"{round(g.at_s * 1e6)}\tEye Tracker\tP1\tR1\t\t{point}\t{state}\t1600\t1200"
        mouse = f"\n{round(g.at_s * 1e6) + 900}\tMouse\tP1\tR1\tMouseEvent\t\t\t\t\t\t1600\t1200"
        return row + mouse if at % 20 == 3 else row

    header = (
        "Recording timestamp [μs]\tSensor\tParticipant name\tRecording name\tEvent\tGaze point X [MCS px]\t"
        "Gaze point Y [MCS px]\tValidity left\tValidity right\tEye movement type\tRecording media width\t"
        "Recording media height"
    )
    path.write_text(_lines(header, line))


def write_tobii_pro_lab_old(path: Path) -> None:
    """Write an older export of Tobii Pro Lab: milliseconds without a unit, decimal commas, UTF-16."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        point = "\t" if blink else f"{g.x:.2f}\t{g.y:.2f}"
        return f"{round(g.at_s * 1e3)}\tJürgen\t{point}\t{4 if blink else 0}\t{4 if blink else 0}".replace(".", ",")

    header = "Recording timestamp\tParticipant name\tGaze point X\tGaze point Y\tValidity left\tValidity right"
    path.write_bytes(_lines(header, line, "\r\n").encode("utf-16"))


def write_gazepoint(path: Path) -> None:
    """Write "all gaze" of Gazepoint Analysis: fractions from the top left, an empty last column."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        x, y = g.x / SIZE[0], g.y / SIZE[1]
        return f"0,clip,{at},{g.at_s:.5f},{at * 333333},{x:.5f},{y:.5f},0,0.1,7,1,{x:.5f},{y:.5f},{int(not blink)},"

    header = (
        "MEDIA_ID,MEDIA_NAME,CNT,TIME(2024/01/01 10:00:00.000),TIMETICK(f=10000000),FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,"
    )
    path.write_text(_lines(header + "FPOGV,BPOGX,BPOGY,BPOGV,", line))


def write_smi(path: Path) -> None:
    """Write raw data of SMI BeGaze: milliseconds, both eyes, `-` where there is none."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        eyes = "-,-,-,-" if blink else f"{g.x + 3:.4f},{g.y - 2:.4f},{g.x - 3:.4f},{g.y + 2:.4f}"
        return f"{g.at_s * 1e3:.4f},Trial001,clip.avi,P01,{eyes},{'Blink,Blink' if blink else 'Fixation,Fixation'}"

    eyes = ",".join(f"Point of Regard {eye} {axis} [px]" for eye in ("Right", "Left") for axis in "XY")
    path.write_text(_lines(f"RecordingTime [ms],Trial,Stimulus,Participant,{eyes},Category Right,Category Left", line))


def write_smi_samples(path: Path) -> None:
    """Write samples of SMI's IDF converter: a preamble of `##`, microseconds of the device, messages between."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        time, point = round((DEVICE_S + g.at_s) * 1e6), "0.00\t0.00" if blink else f"{g.x:.2f}\t{g.y:.2f}"
        message = f"{time}\tMSG\t1\t# Message: start\n" if at == 5 else ""
        return f"{message}{time}\tSMP\t1\t{point}\t00:00:00:00"

    preamble = "## [BeGaze]\n## Version:\tBeGaze 3.6\n## Calibration Area:\t1600\t1200\n##\n"
    path.write_text(preamble + _lines("Time\tType\tTrial\tB POR X [px]\tB POR Y [px]\tFrame", line))
    path.with_name("world_timestamps.csv").write_text(f"timestamp\n{DEVICE_S}\n")


def write_eyelink(path: Path) -> None:
    """Write a sample report of SR Research Data Viewer: milliseconds of the tracker, `.` where there is none."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        point = ".\t." if blink else f"{g.x:.1f}\t{g.y:.1f}"
        return f"s1\t1\t{(DEVICE_S + g.at_s) * 1e3:.1f}\t{point}\t{int(blink)}"

    header = "RECORDING_SESSION_LABEL\tTRIAL_INDEX\tTIMESTAMP\tRIGHT_GAZE_X\tRIGHT_GAZE_Y\tRIGHT_IN_BLINK"
    path.write_text(_lines(header, line))
    path.with_name("world_timestamps.csv").write_text(f"timestamp\n{DEVICE_S}\n")


def write_eyelink_asc(path: Path) -> None:
    """Write the ASC of SR Research's edf2asc: samples of both eyes between lines of other things."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        eye = "   .\t   .\t    0.0"
        eyes = [eye, eye] if blink else [f"{g.x + d:.1f}\t{g.y - d:.1f}\t 1000.0" for d in (2, -2)]
        return f"{(DEVICE_S + g.at_s) * 1e3:.1f}\t{eyes[0]}\t{eyes[1]}\t....."

    head = "** CONVERTED FROM s1.edf using edfapi 4.2\n** DATE: Mon Jan 1 10:00:00 2024\n"
    head += f"MSG\t329517000 DISPLAY_COORDS 0 0 {SIZE[0] - 1} {SIZE[1] - 1}\nSTART\t329517250 \tLEFT\tRIGHT\tSAMPLES\n"
    path.write_text(head + _lines("SAMPLES\tGAZE\tLEFT\tRIGHT\tRATE\t50.00\tTRACKING\tCR", line) + "END\t329521250\n")
    path.with_name("world_timestamps.csv").write_text(f"timestamp\n{DEVICE_S}\n")


def write_imotions(path: Path) -> None:
    """Write a sensor export of iMotions: a preamble, milliseconds, both eyes, -1 where there is none."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        eyes = "-1,-1,-1,-1" if blink else f"{g.x - 2:.4f},{g.y:.4f},{g.x + 2:.4f},{g.y:.4f}"
        return f"{at},{g.at_s * 1e3:.4f},ET,{eyes},3.1"

    preamble = "#INFO,,,\n#Study name,clip\n#METADATA,,,\n#Device,tracker\n#DATA,,,\n"
    header = "Row,Timestamp,EventSource,ET_GazeLeftx,ET_GazeLefty,ET_GazeRightx,ET_GazeRighty,ET_PupilLeft"
    path.write_text(preamble + _lines(header, line))


def write_tobii_glasses(path: Path) -> None:
    """Write `gazedata.gz` of a recording of Tobii Pro Glasses 3: JSON lines, fractions from the top left."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        data = {} if blink else {"gaze2d": [g.x / SIZE[0], g.y / SIZE[1]], "eyeleft": {"pupildiameter": 3.1}}
        return json.dumps({"type": "gaze", "timestamp": g.at_s, "data": data})

    path.write_bytes(gzip.compress(_lines('{"type":"sync","timestamp":0}', line).encode()))


def write_aria(path: Path) -> None:
    """Write Project Aria's gaze with the projection that a user added, on the clock of the device."""

    def line(at: int, g: TrueGaze, blink: bool) -> str:
        return f"{round((DEVICE_S + g.at_s) * 1e6)},0.1,0.1,0.1,1.0,{'' if blink else g.x},{'' if blink else g.y}"

    path.write_text(
        _lines("tracking_timestamp_us,left_yaw_rads_cpf,right_yaw_rads_cpf,pitch_rads_cpf,depth_m,x,y", line)
    )
    path.with_name("world_timestamps.csv").write_text(f"timestamp\n{DEVICE_S}\n")


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "gazecast": ("gaze.csv", write_plain),
    "spreadsheet, German": ("gaze.csv", write_spreadsheet),
    "Pupil Player": ("gaze_positions.csv", write_pupil_player),
    "Pupil Cloud": ("gaze.csv", write_pupil_cloud),
    "Tobii Pro Lab": ("export.tsv", write_tobii_pro_lab),
    "Tobii Pro Lab, older": ("export.tsv", write_tobii_pro_lab_old),
    "Tobii Pro Glasses 3": ("gazedata.gz", write_tobii_glasses),
    "Gazepoint": ("User 0_all_gaze.csv", write_gazepoint),
    "SMI BeGaze": ("raw.csv", write_smi),
    "SMI IDF converter": ("samples.txt", write_smi_samples),
    "SR Research EyeLink": ("report.txt", write_eyelink),
    "SR Research EyeLink, ASC": ("s1.asc", write_eyelink_asc),
    "iMotions": ("sensors.csv", write_imotions),
    "Project Aria, projected": ("general_eye_gaze.csv", write_aria),
}
"""Name of the file and its writer for each program."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds the largest errors of a file, and how many blinks were not found, or were found where there were none."""

    tool: str
    rows: int
    error_px: float
    error_ms: float
    wrong_blinks: int


def compare_tool(tool: str, folder: Path) -> Comparison:
    """Write the file of a program in a new folder, read it, and compare with the truth."""
    name, write = WRITERS[tool]
    folder.mkdir(parents=True)
    write(folder / name)
    points = read_trace(folder / name, ClipFacts(SIZE, DURATION_S, 0.6))
    if len(points) != len(GAZE):
        raise SystemExit(f"{tool}: {len(points)} rows were read of {len(GAZE)}")
    seen = [pair for at, pair in enumerate(zip(points, GAZE, strict=True)) if at not in BLINK]
    return Comparison(
        tool,
        len(points),
        max(max(abs(point.x - true.x), abs(point.y - true.y)) for point, true in seen),
        1000 * max(abs(point.timestamp - true.at_s) for point, true in zip(points, GAZE, strict=True)),
        sum((point.confidence < 0.6) != (at in BLINK) for at, point in enumerate(points)),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the files here and leave them")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary) / "files"
        print("| program | rows | largest error, px | largest error, ms | wrong blinks |\n|---|---|---|---|---|")
        for tool in WRITERS:
            found = compare_tool(tool, folder / tool.replace(" ", "_").replace(",", ""))
            print(
                f"| {tool} | {found.rows} | {found.error_px:.3f} | {found.error_ms:.3f} | {found.wrong_blinks} |",
            )


if __name__ == "__main__":
    main()
