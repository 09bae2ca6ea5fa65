// node --test: the reader against the example of the specification, and against bytes that lie.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "@msgpack/msgpack";
import { WireError } from "./errors.js";
import { contentSize, decodeIdMap } from "./idmap.js";
import { Missed } from "./missed.js";
import { toJson } from "./print.js";
import { decodeHeader, decodePayload } from "./wire.js";

// The worked example of pipeline/wire/README.md, 6x4.
const CODED = Buffer.from("28b52ffd202add0000a801070202020208000103010203020000000000000001001fe002", "hex");
const PIXELS = [0, 1, 1, 1, 1, 1, 1, 1, 3, 3, 1, 1, 2, 2, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2];

const le = (Type, ...values) => new Uint8Array(Type.from(values).buffer);
const bigs = (...values) => le(BigInt64Array, ...values.map(BigInt));

function result(changes = {}) {
  return {
    type: "result",
    schema: "1.0",
    kind: "all",
    source_id: "door",
    epoch: 2,
    seq: 41,
    capture_time_ns: 1_790_000_000_123_456_789n,
    classes: { things: ["person"], stuff: ["sky"] },
    detections: {
      count: 1,
      box: le(Float32Array, 1, 2, 3, 4.5),
      label: le(Int32Array, 0),
      score: le(Float32Array, 0.5),
      raw_score: le(Float32Array, 0.75),
      track_id: bigs(-1),
    },
    panoptic: {
      width: 6,
      height: 4,
      transform: [4, 4, 0, 0],
      id_map: CODED,
      segments: {
        count: 1,
        id: le(Int32Array, 1),
        label: le(Int32Array, 1),
        is_thing: le(Uint8Array, 0),
        score: le(Float32Array, 1),
        area: le(Int32Array, 9),
        box: le(Float32Array, 0, 0, 24, 8),
        track_id: bigs(-1),
      },
    },
    ...changes,
  };
}

const bytesOf = (message) => encode(message, { useBigInt64: true });

test("the worked example", () => {
  assert.deepEqual([...decodeIdMap(CODED, 6, 4)], PIXELS);
});

test("a result", () => {
  const read = decodePayload(bytesOf(result()));
  assert.deepEqual([...read.panoptic.ids], PIXELS);
  assert.deepEqual(read.detections, [
    { box: [1, 2, 3, 4.5], label: 0, score: 0.5, raw_score: 0.75, track_id: null, class_name: "person" },
  ]);
  assert.equal(read.panoptic.segments[0].detection_index, null); // a column that is not in every kind
  assert.equal(read.panoptic.segments[0].class_name, "sky");
  assert.equal(read.capture_time_ns, 1_790_000_000_123_456_789n);
  assert.match(toJson(read), /"capture_time_ns":1790000000123456789,/);
});

test("fields and types of a later 1.x are passed over", () => {
  assert.equal(decodePayload(bytesOf(result({ schema: "1.7", mood: { good: true } }))).seq, 41);
});

test("masks in another form are handed on as they come", () => {
  const { id_map, ...rest } = result().panoptic;
  const read = decodePayload(bytesOf(result({ panoptic: { ...rest, coco: ["0"] } })));
  assert.deepEqual([read.panoptic.coco, read.panoptic.ids], [["0"], undefined]);
});

const LIES = {
  "another major version": { schema: "2.0" },
  "a source_id that is a path": { source_id: "../door" },
  "no classes": { classes: null },
  "a label without a class": { classes: { things: [] } },
  "a column that is too short": { detections: { ...result().detections, count: 2 } },
  "a column that is missing": { detections: { ...result().detections, score: undefined } },
  "rows without end": { detections: { count: 2 ** 31 } },
  "runs past the map": { panoptic: { ...result().panoptic, height: 3 } },
  "runs that end before it": { panoptic: { ...result().panoptic, height: 5 } },
  "a map of a terapixel": { panoptic: { ...result().panoptic, width: 2 ** 20, height: 2 ** 20 } },
  "a frame that claims 2 GB": { panoptic: { ...result().panoptic, id_map: Buffer.from("28b52ffda0ffffff7f00", "hex") } },
  "half a zstd header": { panoptic: { ...result().panoptic, id_map: CODED.subarray(0, 4) } },
  "no bin": { panoptic: { ...result().panoptic, id_map: "text" } },
};
for (const [name, changes] of Object.entries(LIES)) {
  test(`refused: ${name}`, () => {
    assert.throws(() => decodePayload(bytesOf(result(changes))), WireError);
  });
}

test("mutated bytes give a result or a WireError", () => {
  const good = Buffer.from(bytesOf(result()));
  let state = 1;
  const chance = (below) => (state = (state * 48271) % 2147483647) % below;
  for (let round = 0; round < 5_000; round++) {
    const bad = Buffer.from(good).subarray(0, round % 7 === 0 ? chance(good.length) : good.length);
    for (let i = chance(4); i >= 0 && bad.length > 0; i--) bad[chance(bad.length)] = chance(256);
    try {
      decodePayload(bad);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  }
});

test("sizes in zstd headers", () => {
  assert.equal(contentSize(CODED), 42);
  assert.equal(contentSize(Buffer.from("28b52ffd60000100", "hex")), 512);
  assert.equal(contentSize(Buffer.from("28b52ffd80ff01000000", "hex")), 1); // with a window descriptor
  assert.equal(contentSize(Buffer.from("28b52ffde00000000001000000", "hex")), 2 ** 32);
  assert.throws(() => contentSize(Buffer.from("28b52ffd0058", "hex")), /without its content size/);
});

test("what was missed", () => {
  const missed = new Missed();
  const see = (topic, session, number) =>
    missed.see(topic, decodeHeader(bytesOf({ type: "result", schema: "1.0", session, number })));
  const session = 2n ** 63n + 1n;
  assert.deepEqual([see("a", session, 7), see("a", session, 8), see("a", session, 11), see("b", session, 3)], [0, 0, 2, 0]);
  assert.deepEqual([see("a", session + 1n, 40), see("a", session + 1n, 42)], [0, 1]); // a new publisher
  assert.equal(missed.count, 3);
  missed.see("c", { session, number: 4 });
  assert.equal(missed.see("c", { session, number: 10, numbers: 6 }), 0); // a gap that stands for what was lost
  assert.equal(missed.see("c", { session, number: 20, numbers: 6 }), 4);
});
