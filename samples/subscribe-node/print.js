// A message as a line of text or of JSON.

/** JSON with integers of any size; the id map in base64, as everyframe's own JSON form has it. */
export function toJson(value) {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString("base64"));
  if (Array.isArray(value)) return `[${value.map(toJson).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const { ids, ...held } = value; // the pixels of the id map, which stand there already
  return `{${Object.entries(held).map(([name, part]) => `${JSON.stringify(name)}:${toJson(part)}`).join(",")}}`;
}

/** One line for people; what could steer a terminal is shown as it is written in JSON. */
export function toLine(message) {
  return lineOf(message).replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}

function lineOf(message) {
  if (message.type === "gap") {
    const { source_id, epoch, first_seq, last_seq, reason } = message;
    return `${source_id} ${epoch}/${first_seq}-${last_seq} lost: ${reason}`;
  }
  if (message.type === "frame") {
    return `${message.source_id} ${message.epoch}/${message.seq} a picture, ${message.jpeg?.length} bytes`;
  }
  if (message.type === "status") return `${message.source_id} ${message.state} ${message.message ?? ""}`.trimEnd();
  const found = message.tracks.length > 0 ? tracked(message.tracks) : message.detections.map((row) => row.class_name);
  const segments = message.panoptic?.segments.map(({ class_name, area }) => `${class_name} ${area} px`) ?? [];
  return [`${message.source_id} ${message.epoch}/${message.seq}`, found.join(" "), segments.join(", ")]
    .filter((part) => part !== "")
    .join("  ");
}

function tracked(tracks) {
  return tracks.filter(({ state }) => state === "confirmed").map(({ class_name, id }) => `${class_name}#${id}`);
}
