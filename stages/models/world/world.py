"""A street world by seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy import ndimage

from stages.models.world.camera import Camera, Floats, clip_near
from stages.models.world.canvas import Canvas
from stages.models.world.classes import PAVEMENT, ROAD, SKY, THING_ID_BASE, BUILDING, VEGETATION
from stages.models.world.frame import WorldFrame

Split = Literal["train", "unseen"]
FIRST = 16
SIZES = ((0.5, 0.4, 1.75), (1.7, 0.5, 1.1), (4.3, 1.8, 1.5), (11.0, 2.5, 3.1), (8.0, 2.5, 3.2))


class World:
    def __init__(self, seed: int, *, split: Split = "train", width: int = 512, height: int = 288, fps: float = 12.5,
                 moving_camera: bool | None = None, supersample: int = 2) -> None:
        rng = np.random.Generator(np.random.PCG64([seed, split == "unseen"]))
        self.size, self.fps, self.time, self.ss = (width, height), fps, 0.0, supersample
        self.camera = Camera(np.array([rng.uniform(-4, 4), -18.0, rng.uniform(2.5, 7)]), rng.uniform(-0.3, 0.3),
                             rng.uniform(0.1, 0.3), 0.0, width * rng.uniform(0.7, 1.1), width, height)
        self.moving = bool(moving_camera)
        n = int(rng.integers(4, 14))
        self.kinds = rng.choice(5, n, p=(0.4, 0.15, 0.27, 0.08, 0.1))
        self.lanes = rng.choice((-1.75, 1.75), n) * np.where(self.kinds == 0, 3, 1)
        self.y = rng.uniform(-6, 40, n)
        self.speed = rng.uniform(1, 8, n) * np.where(self.kinds == 0, 0.2, 1) * np.sign(self.lanes)
        self.colours = rng.uniform(20, 235, (n, 3))

    def _quad(self, canvas: Canvas, points: Floats, colour, index: int) -> None:  # type: ignore[no-untyped-def]
        cam = clip_near(self.camera.to_camera(points))
        if len(cam) > 2:
            canvas.polygon(self.camera.to_pixels(cam), tuple(float(v) for v in colour), index)

    def _box(self, canvas: Canvas, centre, size, colour, index: int) -> None:  # type: ignore[no-untyped-def]
        l, w, h = size
        cx, cy = centre
        xs, ys = (cx - w / 2, cx + w / 2), (cy - l / 2, cy + l / 2)
        faces = [[(xs[0], ys[1], 0), (xs[1], ys[1], 0), (xs[1], ys[1], h), (xs[0], ys[1], h)]]
        faces += [[(x, ys[0], 0), (x, ys[1], 0), (x, ys[1], h), (x, ys[0], h)] for x in xs]
        faces += [[(xs[0], ys[0], h), (xs[1], ys[0], h), (xs[1], ys[1], h), (xs[0], ys[1], h)]]
        faces += [[(xs[0], ys[0], 0), (xs[1], ys[0], 0), (xs[1], ys[0], h), (xs[0], ys[0], h)]]
        for f, k in zip(faces, (0.5, 0.7, 0.8, 1.0, 0.9), strict=True):
            self._quad(canvas, np.array(f, float), np.asarray(colour) * k, index)

    def render(self) -> WorldFrame:
        w, h = self.size
        canvas = Canvas(width=w, height=h, supersample=self.ss)
        canvas.polygon(np.array([[0, 0], [w, 0], [w, h], [0, h]], float), (170, 200, 230), SKY)
        for x0, x1, c, i in ((-90, 90, (90, 130, 70), VEGETATION), (-7, 7, (160, 155, 150), PAVEMENT), (-3.5, 3.5, (80, 80, 85), ROAD)):
            self._quad(canvas, np.array([[x0, -30, 0], [x1, -30, 0], [x1, 300, 0], [x0, 300, 0]], float), c, i)
        for y in (90, 60, 40, 25, 10):
            for x in (-14, 14):
                self._box(canvas, (x, y), (14, 10, 9), (170, 120, 90), BUILDING)
        full = {}
        for k in np.argsort(-self.y):
            self._box(canvas, (self.lanes[k], self.y[k]), SIZES[self.kinds[k]], self.colours[k], FIRST + int(k))
            full[int(k)] = int((canvas.indices() == FIRST + k).sum())
        idx = canvas.indices()
        boxes, labels, ids, vis = [], [], [], []
        lut = np.zeros(256, np.int32)
        lut[:6] = range(6)
        for k, sl in enumerate(ndimage.find_objects(np.where(idx >= FIRST, idx - FIRST + 1, 0).astype(np.int32))):
            if sl is None:
                continue
            n = int((idx[sl] == FIRST + k).sum())
            if n < 12:
                continue
            boxes.append((sl[1].start, sl[0].start, sl[1].stop, sl[0].stop))
            labels.append(int(self.kinds[k]))
            ids.append(k + 1)
            vis.append(n / full[k])
            lut[FIRST + k] = THING_ID_BASE + k + 1
        return WorldFrame(canvas.picture(), np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64),
                          np.array(ids, np.int64), lut[idx], np.array(vis, np.float32))

    def step(self, seconds: float) -> None:
        self.time += seconds
        self.y = self.y + self.speed * seconds

    def frames(self, count: int) -> Iterator[WorldFrame]:
        for _ in range(count):
            yield self.render()
            self.step(1 / self.fps)
