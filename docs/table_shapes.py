"""Makes materials and meshes for `render_table.py` with Blender's module."""

from __future__ import annotations

import math
from typing import Any

import bpy

TURN = 2 * math.pi

Color = tuple[float, float, float]


def new_material(name: str) -> tuple[Any, Any, Any]:
    """Make a material; return it, its nodes and their links."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    return made, made.node_tree.nodes, made.node_tree.links


def material(
    name: str, color: Color, roughness: float = 0.5, *, coat: float = 0.0,
    bump: tuple[float, float] | None = None, mix: tuple[Any, ...] | None = None,
) -> Any:  # fmt: skip
    """Make a plain material. bump: (scale, strength). mix: (colour, scale, (begin, end), stretch) of blotches."""
    made, nodes, links = new_material(name)
    surface = nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*color, 1)
    surface.inputs["Roughness"].default_value = roughness
    surface.inputs["Coat Weight"].default_value = coat
    where = nodes.new("ShaderNodeTexCoord")
    if mix:
        noise = nodes.new("ShaderNodeTexNoise")
        noise.inputs["Scale"].default_value = mix[1]
        noise.inputs["Detail"].default_value = 3
        ramp = nodes.new("ShaderNodeValToRGB")
        ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = mix[2]
        ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*color, 1), (*mix[0], 1)
        if len(mix) > 3:
            stretch = nodes.new("ShaderNodeMapping")
            stretch.inputs["Scale"].default_value = mix[3]
            links.new(where.outputs["Object"], stretch.inputs["Vector"])
            links.new(stretch.outputs["Vector"], noise.inputs["Vector"])
        else:
            links.new(where.outputs["Object"], noise.inputs["Vector"])
        links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
        links.new(ramp.outputs["Color"], surface.inputs["Base Color"])
    if bump:
        noise = nodes.new("ShaderNodeTexNoise")
        noise.inputs["Scale"].default_value = bump[0]
        raised = nodes.new("ShaderNodeBump")
        raised.inputs["Strength"].default_value = bump[1]
        raised.inputs["Distance"].default_value = 0.002
        links.new(where.outputs["Object"], noise.inputs["Vector"])
        links.new(noise.outputs["Fac"], raised.inputs["Height"])
        links.new(raised.outputs["Normal"], surface.inputs["Normal"])
    return made


def wood() -> Any:
    """Make planks with grain along x."""
    made, nodes, links = new_material("wood")
    surface = nodes["Principled BSDF"]
    surface.inputs["Roughness"].default_value = 0.38
    where, stretch = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
    stretch.inputs["Scale"].default_value = (1.0, 9.0, 1.0)
    noise, fine = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 3.0, 5
    noise.inputs["Distortion"].default_value = 0.6
    fine.inputs["Scale"].default_value, fine.inputs["Detail"].default_value = 28.0, 4
    ramp = nodes.new("ShaderNodeValToRGB")
    for element, (at, color) in zip(
        [*ramp.color_ramp.elements, ramp.color_ramp.elements.new(0.5)],
        [(0.3, (0.23, 0.115, 0.05)), (0.72, (0.50, 0.31, 0.165)), (0.5, (0.38, 0.215, 0.10))],
        strict=True,
    ):
        element.position, element.color = at, (*color, 1)
    planks = nodes.new("ShaderNodeTexBrick")
    planks.inputs["Scale"].default_value = 1.0
    planks.inputs["Brick Width"].default_value, planks.inputs["Row Height"].default_value = 1.1, 0.14
    planks.inputs["Mortar Size"].default_value = 0.0012
    planks.inputs["Color1"].default_value = (0.95, 0.95, 0.95, 1)
    planks.inputs["Color2"].default_value = (0.72, 0.70, 0.68, 1)
    planks.inputs["Mortar"].default_value = (0.25, 0.2, 0.18, 1)
    mixed, tinted = nodes.new("ShaderNodeMix"), nodes.new("ShaderNodeMix")
    mixed.data_type, tinted.data_type, tinted.blend_type = "FLOAT", "RGBA", "MULTIPLY"
    mixed.inputs["Factor"].default_value, tinted.inputs["Factor"].default_value = 0.3, 1.0
    links.new(where.outputs["Object"], stretch.inputs["Vector"])
    links.new(where.outputs["Object"], planks.inputs["Vector"])
    for node in (noise, fine):
        links.new(stretch.outputs["Vector"], node.inputs["Vector"])
    links.new(noise.outputs["Fac"], mixed.inputs["A"])
    links.new(fine.outputs["Fac"], mixed.inputs["B"])
    links.new(mixed.outputs["Result"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], tinted.inputs["A"])
    links.new(planks.outputs["Color"], tinted.inputs["B"])
    links.new(tinted.outputs["Result"], surface.inputs["Base Color"])
    return made


def add(name: str, data: Any) -> Any:
    """Add an object to the scene, smooth where it has faces."""
    added = bpy.data.objects.new(name, data)
    bpy.context.collection.objects.link(added)
    if hasattr(data, "polygons"):
        data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    return added


def read_points(text: str) -> list[tuple[float, ...]]:
    """Convert "x,y x,y ..." mm to metres."""
    return [tuple(float(value) / 1000 for value in point.split(",")) for point in text.split()]


def lathe(name: str, outline: str, made: Any, steps: int = 64) -> Any:
    """Turn an outline of "radius,height ..." mm about z; it is smoothed by Catmull-Rom between its points."""
    profile, points = read_points(outline), list[tuple[float, ...]]()
    ends = [profile[0], *profile, profile[-1]]
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for part in (n / 6 for n in range(6)):
            points.append(
                tuple(
                    q + 0.5 * part * (r - p + part * (2 * p - 5 * q + 4 * r - s + part * (3 * q - p - 3 * r + s)))
                    for p, q, r, s in zip(a, b, c, d, strict=True)
                )
            )
    points.append(profile[-1])
    vertices = [
        (max(0.0, r) * math.cos(TURN * n / steps), max(0.0, r) * math.sin(TURN * n / steps), z)
        for r, z in points for n in range(steps)
    ]  # fmt: skip
    faces = [
        (row * steps + n, row * steps + (n + 1) % steps, (row + 1) * steps + (n + 1) % steps, (row + 1) * steps + n)
        for row in range(len(points) - 1) for n in range(steps)
    ]  # fmt: skip
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    mesh.materials.append(made)
    return mesh


def tube(name: str, path: str, widths: str, made: Any) -> Any:
    """Draw a round tube along a smooth curve; both in mm, one radius for all of its points or for each."""
    points, radii = read_points(path), [radius for (radius,) in read_points(widths)]
    radii = radii if len(radii) > 1 else radii * len(points)
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution, curve.use_fill_caps = "3D", 1.0, 8, True
    spline = curve.splines.new("NURBS")
    spline.points.add(len(points) - 1)
    for point, at, radius in zip(spline.points, points, radii, strict=True):
        point.co, point.radius = (*at, 1), radius
    spline.use_endpoint_u, spline.order_u, spline.resolution_u = True, 4, 12
    curve.materials.append(made)
    return curve


def box(name: str, sides: tuple[float, float, float], made: Any, bevel: float) -> Any:
    """Add a box that stands on z = 0, its edges rounded."""
    x, y, z = (side / 2 for side in sides)
    vertices = [(a * x, b * y, c * z + z) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
    mesh.materials.append(made)
    added = add(name, mesh)
    mesh.polygons.foreach_set("use_smooth", [False] * len(mesh.polygons))
    rounded = added.modifiers.new("bevel", "BEVEL")
    rounded.width, rounded.segments = bevel, 4
    return added
