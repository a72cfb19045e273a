"""Holds the examples at the end of every `--help`."""

from __future__ import annotations

EXAMPLES = {
    "gazecast": (
        "gazecast demo        # a street clip, simulated eyes: no camera needed",
        "gazecast run --open  # camera and mouse, in the browser",
        "gazecast run --source pupil://10.0.0.5",
        "gazecast doctor      # what this machine can run",
    ),
    "gazecast run": (
        "gazecast run --open                      # camera and mouse, in the browser",
        "gazecast run --share                     # the page for a phone, too",
        "gazecast run --source camera:0 --window  # in a window",
        "gazecast run --source pupil://10.0.0.5 --calibration gaze.json",
        "gazecast run --source file:clip.mp4 --gaze trace:gaze.csv --record out.mcap",
        "gazecast run --source file:recording/  # of Pupil Core or Neon, with its gaze",
        "gazecast run --source rtsp://10.0.0.7/live --gaze pupil://10.0.0.5",
        "gazecast run --config run.toml --set tracker.dwell.lock_s=0.4 --json",
    ),
    "gazecast serve": (
        "gazecast serve room.toml --requests    # its sessions, and others on request",
        "gazecast serve room.toml --engine fake --json",
        "gazecast serve room.toml --set host.max_fps=15 --metrics",
        "gazecast serve room.toml --ray local   # on several hosts of this machine",
    ),
    "gazecast hosts": (
        "gazecast hosts                                     # of this machine's cluster",
        "gazecast hosts tcp://10.0.0.5:5570 --drain host-1  # before an update",
    ),
    "gazecast config": (
        "gazecast config > run.toml  # every setting with its meaning, to be edited",
        "gazecast config --config run.toml --set view.port=8771",
    ),
    "gazecast simulate": (
        "gazecast simulate --video clip.mp4                  # eyes follow motion",
        "gazecast simulate --video clip.mp4 --gaze gaze.csv --once",
        "gazecast simulate --scene table --calibrations out  # boxes, with depth",
        "gazecast simulate --targets 9 --gaze-bias 30 -20    # a wearer to calibrate",
        "gazecast simulate --video clip.mp4 --neon           # at neon://127.0.0.1",
    ),
    "gazecast demo": (
        "gazecast demo         # pictures, a video and a table in demo-out",
        "gazecast demo --view  # the same clip on the live page",
        "gazecast demo --video clip.mp4 --gaze wander --out out",
    ),
    "gazecast replay": (
        "gazecast replay out.mcap --open   # on the live page",
        "gazecast replay out.mcap --exact  # the same masks, byte for byte",
        "gazecast replay out.mcap --fast --engine torch --out other.mcap",
    ),
    "gazecast review": (
        "gazecast review out.mcap --open",
        "gazecast review out.mcap --share --set view.port=8771",
    ),
    "gazecast import": (
        "gazecast import corrected.json out.mcap",
        "gazecast import corrected.json out.mcap --add",
    ),
    "gazecast export": (
        "gazecast export out.mcap --video --csv  # out.mp4 and out.csv",
        "gazecast export out.mcap --coco labelled --every 0.5",
        "gazecast export out.mcap --coco all --everything  # not only looks",
        "gazecast export out.mcap --yolo --label-studio",
        "gazecast export out.mcap --ros2 bag.mcap --force",
        "gazecast export out.mcap --csv --identity identity.txt  # encrypted",
    ),
    "gazecast learn": (
        "gazecast learn kitchen.mcap office.mcap --report learned.html",
        "gazecast learn *.mcap --coco corrected/annotations.json --out mine.adapter",
        "gazecast run --adapter mine.adapter",
    ),
    "gazecast plot": (
        "gazecast plot out.mcap  # out.png",
        "gazecast plot out.mcap --out latency.png --force",
    ),
    "gazecast doctor": (
        "gazecast doctor",
        "gazecast doctor --json",
    ),
    "gazecast calibrate": (
        "gazecast calibrate board  # first, a board to print",
        "gazecast calibrate camera --source camera:0 --window",
        "gazecast calibrate gaze --source pupil://10.0.0.5 --out gaze.json",
    ),
    "gazecast calibrate board": (
        "gazecast calibrate board --out board.svg  # print it at 100 %",
        "gazecast calibrate board --board chessboard:9x6:25mm --out board.png",
    ),
    "gazecast calibrate camera": (
        "gazecast calibrate camera --images photos --board chessboard:9x6:25mm",
        "gazecast calibrate camera --source camera:0 --window",
        "gazecast calibrate camera --import world.intrinsics --ros camera_info.yaml",
    ),
    "gazecast calibrate gaze": (
        "gazecast calibrate gaze --source pupil://10.0.0.5 --camera camera.json",
        "gazecast calibrate gaze --source file:clip.mp4 --gaze trace:g.csv --headless",
        "gazecast simulate --targets 9 --gaze-bias 30 -20  # a wearer to try it with",
    ),
    "gazecast calibrate validate": ("gazecast calibrate validate --calibration gaze.json --source pupil://10.0.0.5",),
    "gazecast calibrate drift": ("gazecast calibrate drift --calibration gaze.json --source pupil://10.0.0.5",),
    "gazecast calibrate handeye": ("gazecast calibrate handeye --poses recorded --camera camera.json",),
    "gazecast engine": (
        "gazecast engine list",
        "gazecast engine build --precision int8",
    ),
    "gazecast engine build": (
        "gazecast engine build --precision int8  # for VNNI processors",
        "gazecast engine build --engine tensorrt --frame 640x480",
    ),
    "gazecast engine verify": (
        "gazecast engine verify",
        "gazecast engine verify --precision int8 --pictures photos",
    ),
    "gazecast engine bench": (
        "gazecast engine bench --rounds 30",
        "gazecast engine bench --engine onnxruntime --json",
    ),
    "gazecast engine list": (
        "gazecast engine list",
        "gazecast engine list --json",
    ),
    "gazecast engine clean": (
        "gazecast engine clean --dry-run",
        "gazecast engine clean --unused-days 30",
    ),
    "gazecast segment": (
        "gazecast segment *.jpg --everything  # NAME.json and NAME.png in segment-out",
        "gazecast segment cup.jpg --point 320,240 --not 100,80",
        "gazecast segment cup.jpg --box 200,150,440,330 --json",
        "gazecast segment photos --names  # a whole folder; run again to go on",
        "gazecast segment photos --text mug --out mugs",
        "gazecast segment photos --edges  # or --proposals",
    ),
    "gazecast models": (
        "gazecast models list",
        "gazecast models pull mobile_sam",
    ),
    "gazecast models list": ("gazecast models list",),
    "gazecast models pull": (
        "gazecast models pull mobile_sam",
        "gazecast models pull mobile_sam --from usb  # without a network",
    ),
    "gazecast models path": ("gazecast models path mobile_sam",),
    "gazecast keys": (
        "gazecast keys new         # once on each machine",
        "gazecast keys allow KEY   # on the machine that publishes",
        "gazecast keys trust 10.0.0.5 KEY  # on the machine that reads",
    ),
    "gazecast keys recording": ("gazecast keys recording --out /media/usb/identity.txt",),
    "gazecast keys new": ("gazecast keys new",),
    "gazecast keys show": ("gazecast keys show", "gazecast keys show --z85"),
    "gazecast keys allow": ("gazecast keys allow KEY --name arm --may control,pictures",),
    "gazecast keys remove": ("gazecast keys remove arm",),
    "gazecast keys trust": ("gazecast keys trust 10.0.0.5 KEY",),
    "gazecast completion": (
        "source <(gazecast completion bash)  # for this shell; docs: getting started",
        "gazecast completion fish > ~/.config/fish/completions/gazecast.fish",
    ),
}
"""Command -> example lines; everything after `#` explains."""
