// Prints what a running everyframe publishes: node subscribe.js --help

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { WireError } from "./errors.js";
import { Missed } from "./missed.js";
import { toJson, toLine } from "./print.js";
import { decodeHeader, decodePayload } from "./wire.js";

const USAGE = `usage: node subscribe.js [ADDRESS] [options]
       node subscribe.js redis://HOST/0 --topic SOURCE/KIND [options]

Prints a line for every result, gap and status, from Redis first of all that is kept; how many messages were missed goes to the error stream.

  ADDRESS              where everyframe publishes (default: tcp://127.0.0.1:5560)
  --topic SOURCE/KIND  any number of times; kinds are boxes, tracks, masks, all, status
                       (default: the tracks of every source)
  --prefix TEXT        what streams in Redis begin with (default: everyframe:)
  --json               everyframe's JSON form in place of text
  --maps DIR           write every id map there as a 16-bit PGM picture
  --count N            stop after N lines
  --file FILE          read one message from a file in place of a socket, any number of times`;

const DISCOVERY = "/status/"; // every source's status
const LARGEST_MESSAGE = 64 * 2 ** 20;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    topic: { type: "string", multiple: true, default: [] },
    json: { type: "boolean", default: false },
    maps: { type: "string" },
    prefix: { type: "string", default: "everyframe:" },
    count: { type: "string", default: "Infinity" },
    file: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});

const missed = new Missed();
let left = Number(options.count);

if (options.help) {
  console.log(USAGE);
} else if (options.file.length > 0) {
  for (const file of options.file) show(decodePayload(readFileSync(file)), 0);
} else if (/^rediss?:/.test(positionals[0] ?? "") && options.topic.length === 0) {
  console.error("name what to read from Redis, such as --topic door/tracks");
  process.exitCode = 2;
} else if (/^rediss?:/.test(positionals[0] ?? "")) {
  await readStreams(positionals[0]);
} else {
  await subscribe(positionals[0] ?? "tcp://127.0.0.1:5560");
}

async function readStreams(url) {
  const { entries } = await import("./redis.js");
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const streams = options.topic.map((topic) => `${options.prefix}${topic}`);
  for await (const [stream, header, payload] of entries(url, streams, stop.signal)) {
    if (take(stream, header, payload, show) && --left <= 0) break;
  }
  console.error(`missed ${missed.count}`);
}

async function subscribe(address) {
  const { Subscriber } = await import("zeromq");
  const socket = new Subscriber({
    maxMessageSize: LARGEST_MESSAGE, // a longer one is not taken at all
    heartbeatInterval: 1_000, // a publisher that died without a word is noticed, and connected to again
    heartbeatTimeout: 3_000,
    linger: 0,
  });
  socket.connect(address);
  socket.subscribe(...(options.topic.length > 0 ? options.topic.map((topic) => `${topic}/`) : [DISCOVERY]));
  process.once("SIGINT", () => socket.close());
  process.once("SIGTERM", () => socket.close());
  try {
    for await (const [topic, header, payload] of socket) {
      const discovers = options.topic.length === 0 && topic.equals(Buffer.from(DISCOVERY));
      const found = ({ source_id }) => socket.subscribe(`${source_id}/tracks/`); // twice does no harm
      if (take(topic.toString(), header, payload, discovers ? found : show) && !discovers && --left <= 0) break;
    }
  } finally {
    socket.close();
    console.error(`missed ${missed.count}`);
  }
}

/** Read one message and hand it on with its header; whether it could be read. */
function take(topic, headerBytes, payload, use) {
  try {
    const header = decodeHeader(headerBytes);
    const hole = missed.see(topic, header);
    if (hole > 0) console.error(`${topic} missed ${hole} messages`);
    use(decodePayload(payload), header.gap_before);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    console.error(`${topic}: ${error.message}`);
    return false;
  }
  return true;
}

function show(message, gapBefore) {
  const told = message.type === "result" ? { ...message, gap_before: gapBefore } : message;
  console.log(options.json ? toJson(told) : toLine(told));
  if (options.maps !== undefined && message.panoptic?.ids) writeMap(options.maps, message);
}

function writeMap(folder, { source_id, epoch, seq, panoptic }) {
  mkdirSync(folder, { recursive: true });
  const pixels = Buffer.from(panoptic.ids.buffer, panoptic.ids.byteOffset, panoptic.ids.byteLength);
  const bigEndian = Buffer.from(pixels).swap16(); // as PGM wants it; machines that run Node are little-endian
  const header = Buffer.from(`P5\n${panoptic.width} ${panoptic.height}\n65535\n`);
  writeFileSync(join(folder, `${source_id}-${epoch}-${seq}.pgm`), Buffer.concat([header, bigEndian]));
}
