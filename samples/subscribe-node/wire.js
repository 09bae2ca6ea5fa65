// The wire format, version 1, as pipeline/wire/README.md tells it: bytes to plain objects.
//
// Integers above 2^53 (sessions, times in nanoseconds) come as BigInt, smaller ones as numbers.

import { decode } from "@msgpack/msgpack";
import { WireError } from "./errors.js";
import { decodeIdMap } from "./idmap.js";

const MAJOR = "1.";
const MOST_ROWS = 10_000;
const MOST_MAP_PIXELS = 8192 * 4320;
const SOURCE_ID = /^[A-Za-z0-9._-]{1,64}$/;
const STATES = ["tentative", "confirmed", "lost", "ended", "left"];

// A column: bytes a value, values a row, and how a value is read from a DataView, little-endian.
const f32 = (size = 1) => ({ bytes: 4, size, read: (view, at) => view.getFloat32(at, true) });
const i32 = { bytes: 4, size: 1, read: (view, at) => view.getInt32(at, true) };
const i64 = { bytes: 8, size: 1, read: (view, at) => small(view.getBigInt64(at, true)) };
const u8 = { bytes: 1, size: 1, read: (view, at) => view.getUint8(at) };

const TABLES = {
  detections: { box: f32(4), label: i32, score: f32(), raw_score: f32(), track_id: i64 },
  tracks: { id: i64, box: f32(4), label: i32, score: f32(), state: u8, detection_index: i32 },
  segments: {
    id: i32, label: i32, is_thing: u8, score: f32(), area: i32, box: f32(4), track_id: i64, detection_index: i32,
  },
};
const OPTIONAL = ["track_id", "detection_index"]; // not in every kind; below zero: none

/** The header: type, kind, session, number, gap_before, publish_time_ns. */
export function decodeHeader(bytes) {
  const header = decodeMap(bytes);
  for (const name of ["number", "numbers"]) {
    if (!Number.isSafeInteger(header[name] ?? 1)) throw new WireError(`header: ${name} ${header[name]}`);
  }
  return { gap_before: 0, ...header };
}

/** A result, gap, status or picture; `type` says which. Tables become lists of rows, the id map a Uint16Array of its pixels. */
export function decodePayload(bytes) {
  const message = decodeMap(bytes);
  if (!SOURCE_ID.test(message.source_id)) throw new WireError("source_id: not a name of 1 to 64 letters, digits . _ -");
  if (message.type !== "result") return message;
  const classes = { stuff: [], ...map("classes", message.classes) };
  const names = [...list("things", classes.things), ...list("stuff", classes.stuff)];
  return {
    pts: null,
    analysed: true,
    discontinuity: false,
    ...message,
    classes,
    detections: rows("detections", message.detections, names),
    tracks: rows("tracks", message.tracks, names),
    panoptic: message.panoptic === undefined ? null : panoptic(message.panoptic, names),
  };
}

function decodeMap(bytes) {
  const message = map("message", unpack(bytes));
  if (typeof message.schema !== "string" || !message.schema.startsWith(MAJOR)) {
    throw new WireError(`schema ${JSON.stringify(message.schema)} cannot be read; ${MAJOR}x can`);
  }
  return message;
}

function unpack(bytes) {
  try {
    return plain(decode(bytes, { useBigInt64: true }));
  } catch (error) {
    throw new WireError(`not msgpack: ${error.message}`);
  }
}

function map(name, value) {
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array) {
    throw new WireError(`${name}: not a map`);
  }
  return value;
}

function list(name, value) {
  if (!Array.isArray(value)) throw new WireError(`${name}: not a list`);
  return value;
}

/** The value with every integer that a number can hold as a number. */
function plain(value) {
  if (typeof value === "bigint") return small(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([name, held]) => [name, plain(held)]));
}

function small(integer) {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

function rows(name, table, classNames) {
  if (table === undefined) return []; // not part of this kind
  const { count } = map(name, table);
  if (!Number.isInteger(count) || count < 0 || count > MOST_ROWS) {
    throw new WireError(`${name}: ${count} rows; 0 to ${MOST_ROWS} are allowed`);
  }
  const columns = Object.entries(TABLES[name]).map(([column, of]) => {
    if (!(column in table) && OPTIONAL.includes(column)) return [column, () => null];
    const view = viewOf(`${name}.${column}`, table[column], count * of.bytes * of.size);
    return [column, (row) => cell(column, of, view, row)];
  });
  return Array.from({ length: count }, (_, row) => {
    const object = Object.fromEntries(columns.map(([column, read]) => [column, read(row)]));
    if (!(object.label in classNames)) throw new WireError(`${name}: no class has the label ${object.label}`);
    return { ...object, class_name: classNames[object.label] };
  });
}

/** A bin need not start where a Float32Array could; a DataView may look anywhere. */
function viewOf(name, bin, bytes) {
  if (!(bin instanceof Uint8Array) || bin.byteLength !== bytes) {
    throw new WireError(`${name}: ${bin?.byteLength ?? "no"} bytes; ${bytes} are needed`);
  }
  return new DataView(bin.buffer, bin.byteOffset, bin.byteLength);
}

function cell(column, { bytes, size, read }, view, row) {
  const at = row * bytes * size;
  if (size > 1) return Array.from({ length: size }, (_, i) => read(view, at + i * bytes));
  const value = read(view, at);
  if (column === "state") return STATES[value] ?? value;
  if (column === "is_thing") return value === 1;
  return OPTIONAL.includes(column) && value < 0 ? null : value;
}

function panoptic(part, names) {
  const { width, height, id_map: coded, segments, ...rest } = map("panoptic", part);
  const sides = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (!sides || width * height > MOST_MAP_PIXELS) {
    throw new WireError(`panoptic: a map of ${width}x${height}; up to ${MOST_MAP_PIXELS} pixels are allowed`);
  }
  const found = { width, height, ...rest, segments: rows("segments", segments, names) };
  if (coded === undefined) return found; // masks in another form, which stands there as it came
  if (!(coded instanceof Uint8Array)) throw new WireError("panoptic: id_map is not a bin");
  return { ...found, id_map: coded, ids: decodeIdMap(coded, width, height) };
}
