// The id map: run lengths and ids in six planes of bytes, compressed with zstd.

import { decompress } from "fzstd";
import { WireError } from "./errors.js";

const PLANES = 6; // four bytes of a length, two of an id
const MAGIC = 0xfd2fb528;

/** Which segment each pixel belongs to, row by row; 0 is void. */
export function decodeIdMap(coded, width, height) {
  const size = contentSize(coded);
  const runs = size / PLANES;
  if (!Number.isInteger(runs) || runs > width * height) {
    throw new WireError(`id map: ${size} bytes; six for each of up to ${width * height} runs are needed`);
  }
  const planes = inflate(coded, new Uint8Array(size));
  const plane = (index, run) => planes[index * runs + run];
  const ids = new Uint16Array(width * height);
  let pixel = 0;
  for (let run = 0; run < runs; run++) {
    const length = plane(0, run) + plane(1, run) * 2 ** 8 + plane(2, run) * 2 ** 16 + plane(3, run) * 2 ** 24;
    if (length === 0 || pixel + length > ids.length) throw new WireError("id map: the runs do not fit the map");
    ids.fill(plane(4, run) + plane(5, run) * 2 ** 8, pixel, pixel + length);
    pixel += length;
  }
  if (pixel !== ids.length) throw new WireError(`id map: runs of ${pixel} pixels; ${ids.length} are needed`);
  return ids;
}

/** Bytes a zstd frame holds, by its header: known before anything is allocated for them (RFC 8878, 3.1.1.1). */
export function contentSize(frame) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  try {
    if (view.getUint32(0, true) !== MAGIC) throw new WireError("id map: not a zstd frame");
    const descriptor = view.getUint8(4);
    const singleSegment = (descriptor >> 5) & 1;
    const at = 5 + (singleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3];
    switch (descriptor >> 6) {
      case 0:
        if (!singleSegment) throw new WireError("id map: a zstd frame without its content size");
        return view.getUint8(at);
      case 1:
        return view.getUint16(at, true) + 256;
      case 2:
        return view.getUint32(at, true);
      default:
        return Number(view.getBigUint64(at, true));
    }
  } catch (error) {
    if (error instanceof RangeError) throw new WireError("id map: ends within its zstd header");
    throw error;
  }
}

/** With room given, fzstd allocates nothing by what the frame claims; what does not fill it leaves runs of length 0. */
function inflate(coded, room) {
  try {
    return decompress(coded, room);
  } catch (error) {
    throw new WireError(`id map: not zstd: ${error.message}`);
  }
}
