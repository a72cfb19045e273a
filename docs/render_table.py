"""Renders the demo's table top, `table.mp4`, with gaze and the true masks of what is fixated, `table.npz`.

    python docs/render_table.py ROOM.exr FOLDER

It needs the packages bpy 5.0 (Blender's module), numpy below 2, opencv-python-headless and av, in an environment of
its own. ROOM.exr lights the scene: `hdri/apartment.exr` of the npm package @pmndrs/assets 1.7 (CC0). FOLDER gets the
results, and keeps what is rendered if it is interrupted.

Path tracing each frame would take hours on two cores. Every 25th is path traced; the frames between take their colours
from the two nearest of these, by the exact depth of each pixel. Masks are exact in every frame: one ray through the
centre of each pixel.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"

import av
import bpy
import cv2
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Euler, Vector
from table_shapes import TURN, add, box, lathe, material, new_material, tube, wood

SIZE, FPS, FRAMES = (640, 360), 25, 300
KEY_SIZE, KEY_STEP, SAMPLES = (960, 540), 25, 8
FIELD_OF_VIEW_DEG = 52.0
GAZE_ORDER = (
    "mug", "pepper mill", "orange", "book", "teapot", "banana", "toy monkey", "bowl", "apple", "bottle", "lemon",
    "phone",
)  # fmt: skip
"""The objects in the order in which they are fixated, equally long."""
FAR_M = 50.0  # depth of the room behind the table
OBJECTS: dict[str, tuple[int, Vector]] = {}
"""Number of each object, and the point in the world that the eyes rest on."""


def place(name: str, placed: Any, at: tuple[float, float, float], turn_deg: float, height: float, *parts: Any) -> None:
    """Place an object with its parts, and number it; the eyes rest at a height above the place."""
    number = len(OBJECTS) + 1
    placed.location, placed.rotation_euler, placed.pass_index = at, Euler((0, 0, math.radians(turn_deg))), number
    for part in parts:
        part.parent, part.pass_index = placed, number
    OBJECTS[name] = number, Vector(at) + Vector((0, 0, height))


def build(room: Path) -> None:
    """Build the table with its twelve objects, the light and the camera."""
    table = box("table", (1.9, 1.25, 0.03), wood(), 0.004)
    table.location = (0, 0.08, -0.03)

    glaze = material("glaze", (0.02, 0.10, 0.30), 0.25, coat=0.6)
    mug = add("mug", lathe("mug", "0,2 34,0 39,6 40,50 41,92 39.5,96 37,92 36,50 34,30", glaze))
    coffee = add("coffee", lathe("coffee", "36.5,75 20,75.5 0,75.5", material("coffee", (0.03, 0.012, 0.005), 0.1)))
    handle = add("handle", tube("handle", "37,0,78 55,0,84 74,0,70 72,0,35 50,0,18 36,0,22", "5.8", glaze))
    place("mug", mug, (-0.035, -0.005, 0), -25, 0.045, coffee, handle)

    skin = material("apple", (0.36, 0.010, 0.014), 0.28, coat=0.3, mix=((0.50, 0.16, 0.03), 22, (0.48, 0.75)))
    apple = add("apple", lathe("apple", "0,10 12,3 24,6 38,28 42,52 34,75 18,81 6,74 0,66", skin))
    twig = material("stem", (0.07, 0.035, 0.015))
    stem = add("stem", tube("stem", "0,0,64 1,0,76 4,1,84 9,2,92", "1.6 1.4 1.6 2.2", twig))
    place("apple", apple, (0.135, 0.03, 0), 0, 0.042, stem)

    peel = material("orange", (0.80, 0.23, 0.012), 0.42, bump=(260, 0.55))
    orange = add("orange", lathe("orange", "0,0 22,5 37,22 40.5,39 36,58 20,72.5 4,76.5 0,75.5", peel))
    place("orange", orange, (0.085, -0.175, 0), 30, 0.038)

    rind = material("lemon", (0.86, 0.62, 0.03), 0.4, bump=(200, 0.4))
    lemon = add("lemon", lathe("lemon", "0,-47 5,-45 10,-39 24,-25 29,0 25,22 12,36 6,41 0,43", rind))
    place("lemon", lemon, (0.235, -0.155, 0.0285), 0, 0)
    lemon.rotation_euler = Euler((math.radians(90), 0, math.radians(55)))

    yellow = material("banana", (0.80, 0.53, 0.045), 0.45, mix=((0.30, 0.15, 0.03), 26, (0.60, 0.68)))
    arc = "-80.6,37.7,18 -66.1,23.4,18 -49.1,12.2,18 -30.2,4.4,18 -10.2,0.5,18 "
    arc += "10.2,0.5,18 30.2,4.4,18 49.1,12.2,18 66.1,23.4,18 80.6,37.7,18"
    banana = add("banana", tube("banana", arc, "4 10.5 15.5 17.8 18.2 18.2 17.6 15 8.5 4", yellow))
    brown = material("tip", (0.25, 0.19, 0.05))
    tip = add("tip", tube("tip", "80.6,37.7,18 88.6,47.7,21 93.6,56.7,23 98.6,64.7,24", "5 4.2 4.6 5", brown))
    place("banana", banana, (-0.095, -0.195, 0), 8, 0.025, tip)

    cover = material("cover", (0.10, 0.22, 0.13), 0.55, bump=(400, 0.2))
    leaves = (0.55, 0.51, 0.43), 3, (0.45, 0.55), (0.2, 0.2, 260)
    pages = box("pages", (0.133, 0.190, 0.026), material("pages", (0.78, 0.74, 0.64), 0.8, mix=leaves), 0.001)
    pages.location = (0.002, 0, 0.003)
    book = box("book", (0.140, 0.200, 0.0035), cover, 0.001)
    lid, spine = box("lid", (0.140, 0.200, 0.0035), cover, 0.001), box("spine", (0.004, 0.200, 0.032), cover, 0.0015)
    lid.location, spine.location = (0, 0, 0.0285), (-0.070, 0, 0)
    place("book", book, (0.325, 0.045, 0), -14, 0.032, pages, lid, spine)

    black = material("phone", (0.006, 0.006, 0.007), 0.32)
    phone = box("phone", (0.074, 0.150, 0.0085), black, 0.0035)
    screen = box("screen", (0.069, 0.145, 0.0004), material("screen", (0.004, 0.005, 0.007), 0.35), 0.0001)
    screen.location = (0, 0, 0.0084)
    place("phone", phone, (-0.290, -0.185, 0), 24, 0.009, screen)

    stone = material("bowl", (0.62, 0.66, 0.64), 0.35, coat=0.4, mix=((0.30, 0.36, 0.36), 160, (0.60, 0.66)))
    bowl = add("bowl", lathe("bowl", "0,3 32,0 36,6 60,28 78,62 78.5,65.5 76,64 58,33 34,12 0,8", stone))
    place("bowl", bowl, (-0.275, 0.03, 0), 0, 0.030)

    glass = material("bottle", (0.012, 0.075, 0.022), 0.12, coat=0.8)
    outline = "0,3 30,0 36,8 36.5,80 36.5,142 30,170 16,196 13.8,225 15,244 14.8,250 10,251 0,250"
    bottle = add("bottle", lathe("bottle", outline, glass))
    paper = material("label", (0.74, 0.66, 0.48), 0.7, mix=((0.45, 0.30, 0.18), 40, (0.6, 0.62)))
    label = add("label", lathe("label", "37.2,52 37.3,56 37.3,112 37.2,116", paper))
    place("bottle", bottle, (-0.330, 0.215, 0), 0, 0.09, label)

    white = material("teapot", (0.76, 0.74, 0.70), 0.22, coat=0.6)
    pot = add("teapot", lathe("pot", "0,3 40,0 58,18 69,50 62,85 42,106 38,110 22,120 8,124 9,132 11,138 0,143", white))
    spout = add("spout", tube("spout", "55,0,40 80,0,48 96,0,78 112,0,100 122,0,106", "18 15.5 11 9 8.5", white))
    grip = add("grip", tube("grip", "-55,0,90 -85,0,104 -112,0,85 -104,0,45 -80,0,28 -58,0,30", "7.2", white))
    place("teapot", pot, (-0.115, 0.225, 0), 18, 0.055, spout, grip)

    grain = (0.03, 0.010, 0.005), 12, (0.4, 0.6), (1, 1, 0.15)
    dark = material("mill", (0.085, 0.028, 0.012), 0.35, coat=0.3, mix=grain)
    outline = "0,2 27,0 27.5,12 22,30 18.5,62 21,90 26,106 19,114 24,130 26,146 16,164 6,168 7.5,176 5.5,183 0,184"
    mill = add("mill", lathe("mill", outline, dark))
    place("pepper mill", mill, (0.075, 0.245, 0), 0, 0.075)

    bpy.ops.mesh.primitive_monkey_add(size=0.125)
    monkey = bpy.context.object
    monkey.data.polygons.foreach_set("use_smooth", [True] * len(monkey.data.polygons))
    smooth = monkey.modifiers.new("smooth", "SUBSURF")
    smooth.levels = smooth.render_levels = 2
    monkey.data.materials.append(material("toy", (0.62, 0.05, 0.11), 0.35, coat=0.3))
    place("toy monkey", monkey, (0.270, 0.245, 0.061), 0, 0)
    monkey.rotation_euler = Euler((math.radians(-14), 0, math.radians(-20)))
    add_light_and_camera(room)


def add_light_and_camera(room_path: Path) -> None:
    """Light the table by a room and a window, and add the camera."""
    scene = bpy.context.scene
    world = scene.world = bpy.data.worlds.new("room")
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    room = nodes.new("ShaderNodeTexEnvironment")
    room.image = bpy.data.images.load(str(room_path.resolve()))
    links.new(room.outputs["Color"], nodes["Background"].inputs["Color"])
    nodes["Background"].inputs["Strength"].default_value = 0.9
    lamp = bpy.data.lights.new("window", "AREA")
    lamp.energy, lamp.size, lamp.color = 16, 0.7, (1.0, 0.95, 0.87)
    shining = add("window", lamp)
    shining.location = (-0.9, 0.75, 1.15)
    shining.rotation_euler = (Vector((0, 0, 0)) - shining.location).to_track_quat("-Z", "Y").to_euler()
    camera = bpy.data.cameras.new("camera")
    camera.angle = math.radians(FIELD_OF_VIEW_DEG)
    scene.camera = add("camera", camera)


def move_camera(frame: int) -> None:
    """Sway the camera slowly, as a head does; the last frame is followed by the first."""
    a = TURN * frame / FRAMES
    x, y = 0.085 * math.sin(a) + 0.004 * math.sin(5 * a), -0.79 + 0.025 * math.sin(2 * a)
    at = Vector((x, y, 0.60 + 0.022 * math.cos(a) + 0.003 * math.sin(7 * a + 1)))
    x, y = 0.02 * math.sin(a + 0.7) + 0.003 * math.sin(6 * a), 0.05 + 0.012 * math.cos(2 * a) + 0.002 * math.sin(9 * a)
    target = Vector((x, y, 0.03))
    camera = bpy.context.scene.camera
    camera.location = at
    turn = (target - at).to_track_quat("-Z", "Y").to_euler()
    turn.rotate_axis("Z", math.radians(0.8 * math.sin(a + 2) + 0.15 * math.sin(8 * a)))
    camera.rotation_euler = turn


def prepare_pictures() -> None:
    """Set up path tracing."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *KEY_SIZE, 100
    scene.render.use_persistent_data = True
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.denoiser = SAMPLES, True, "OPENIMAGEDENOISE"
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.denoising_prefilter, scene.cycles.denoising_quality = "FAST", "BALANCED"
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces, scene.cycles.glossy_bounces = 4, 2, 2
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.render.image_settings.file_format = "PNG"


def prepare_geometry() -> None:
    """Set up the other pictures: red is the number of the object, green its depth, at the centres of pixels."""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    made, nodes, links = new_material("geometry")
    nodes.clear()
    number, depth, both = (nodes.new(f"ShaderNode{kind}") for kind in ("ObjectInfo", "CameraData", "CombineXYZ"))
    glow, out = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    links.new(number.outputs["Object Index"], both.inputs["X"])
    links.new(depth.outputs["View Z Depth"], both.inputs["Y"])
    links.new(both.outputs[0], glow.inputs["Color"])
    links.new(glow.outputs[0], out.inputs["Surface"])
    layer.material_override = made
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0
    bpy.data.objects["window"].hide_render = True
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.cycles.pixel_filter_type, scene.cycles.filter_width, scene.cycles.max_bounces = "BOX", 0.01, 0
    scene.view_settings.view_transform, scene.view_settings.look, scene.view_settings.exposure = "Raw", "None", 0
    form = scene.render.image_settings
    form.file_format, form.color_mode, form.color_depth, form.exr_codec = "OPEN_EXR", "RGB", "32", "ZIP"


def render(path: Path, frame: int) -> None:
    """Render a frame, unless it is there."""
    move_camera(frame)
    bpy.context.view_layer.update()
    bpy.context.scene.render.filepath = str(path)
    if not path.exists():
        bpy.ops.render.render(write_still=True)


def render_all(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Render pictures and geometry; return poses, (frames, 4, 4), and centres, (objects, frames, 2) px."""
    scene = bpy.context.scene
    prepare_pictures()
    for frame in range(0, FRAMES, KEY_STEP):
        render(folder / f"key-{frame:03}.png", frame)
    prepare_geometry()
    scene.render.resolution_x, scene.render.resolution_y = (2 * side for side in SIZE)
    poses, centres = [], []
    for frame in range(FRAMES):
        render(folder / f"depth-{frame:03}.exr", frame)
        poses.append(np.array(scene.camera.matrix_world))
        seen = [world_to_camera_view(scene, scene.camera, at) for _, at in OBJECTS.values()]
        centres.append([(x * SIZE[0] - 0.5, (1 - y) * SIZE[1] - 0.5) for x, y, _ in seen])
    return np.array(poses), np.swapaxes(np.array(centres, np.float32), 0, 1)


class ViewBlender:
    """A source of the frames between path-traced ones, which are warped by depth and blended."""

    def __init__(self, folder: Path, poses: np.ndarray) -> None:
        self._folder, self._poses = folder, poses
        width, height = (2 * side for side in SIZE)
        self._centre = width / 2, height / 2
        self._focal_px = width / 2 / math.tan(math.radians(FIELD_OF_VIEW_DEG) / 2)
        y, x = np.indices((height, width)) + 0.5
        self._rays = (x - self._centre[0]) / self._focal_px, (self._centre[1] - y) / self._focal_px
        self._keys = {
            frame: (cv2.imread(str(folder / f"key-{frame:03}.png")).astype(np.float32), *self.read_geometry(frame))
            for frame in range(0, FRAMES, KEY_STEP)
        }

    def read_geometry(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Read the numbers of objects, uint8, and depth, m, at twice the size of the clip."""
        pixels = cv2.imread(str(self._folder / f"depth-{frame:03}.exr"), cv2.IMREAD_UNCHANGED)
        return np.rint(pixels[..., 2]).astype(np.uint8), np.where(pixels[..., 1] > 0, pixels[..., 1], FAR_M)

    def blend(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Blend a frame, BGR, and return it with the numbers of its objects."""
        labels, depth_m = self.read_geometry(frame)
        points = np.stack([self._rays[0] * depth_m, self._rays[1] * depth_m, -depth_m, np.ones_like(depth_m)], -1)
        before, part = frame // KEY_STEP * KEY_STEP, frame % KEY_STEP / KEY_STEP
        total, weight = np.zeros((*labels.shape, 3), np.float32), np.full(labels.shape, 1e-6, np.float32)
        for key, share in ((before, 1 - part), ((before + KEY_STEP) % FRAMES, part)):
            key_from_frame = np.linalg.inv(self._poses[key]) @ self._poses[frame]
            color, is_visible = self._sample(key, points @ key_from_frame.T, labels)
            total += color * (share * is_visible)[..., None]
            weight += share * is_visible
        blended = np.clip(total / weight[..., None], 0, 255).astype(np.uint8)
        blended = cv2.inpaint(blended, (weight < 1e-3).astype(np.uint8), 3, cv2.INPAINT_TELEA)
        return cv2.resize(blended, SIZE, interpolation=cv2.INTER_AREA), labels[1::2, 1::2]

    def _sample(self, key: int, points: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sample a key's picture at points of its camera; return colours, and whether each is visible there."""
        image, key_labels, key_depth_m = self._keys[key]
        depth_m = -points[..., 2]
        x = (self._centre[0] + self._focal_px * points[..., 0] / depth_m).astype(np.float32)
        y = (self._centre[1] - self._focal_px * points[..., 1] / depth_m).astype(np.float32)
        scale = image.shape[1] / labels.shape[1]
        color = cv2.remap(image, x * scale - 0.5, y * scale - 0.5, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        label = cv2.remap(key_labels, x - 0.5, y - 0.5, cv2.INTER_NEAREST, borderValue=255)
        found_m = cv2.remap(key_depth_m, x - 0.5, y - 0.5, cv2.INTER_NEAREST)
        tolerance_m = np.where(depth_m > 2, 0.1 * depth_m, 0.012)
        return color, (label == labels) & (np.abs(found_m - depth_m) < tolerance_m)


def write_clip(folder: Path, poses: np.ndarray, centres: np.ndarray) -> None:
    """Write `table.mp4` and `table.npz`."""
    blender, gaze, masks = ViewBlender(folder, poses), [], []
    names = list(OBJECTS)
    options = {"preset": "slow", "crf": "21"}
    with av.open(str(folder / "table.mp4"), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in range(FRAMES):
            image, numbers = blender.blend(frame)
            index = names.index(GAZE_ORDER[frame * len(GAZE_ORDER) // FRAMES])
            gaze.append(centres[index, frame])
            masks.append(np.packbits(numbers == index + 1, axis=1))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode())
    np.savez_compressed(folder / "table.npz", names=GAZE_ORDER, gaze=gaze, masks=masks)


if __name__ == "__main__":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    build(Path(sys.argv[1]))
    write_clip(Path(sys.argv[2]), *render_all(Path(sys.argv[2])))
