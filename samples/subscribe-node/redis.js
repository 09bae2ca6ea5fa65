// Results kept in Redis Streams: an entry has the two fields `header` and `payload`.

import { RESP_TYPES, createClient } from "redis";

const BLOCK_MS = 1_000;
const AT_ONCE = 100;

/**
 * Entries of streams as [stream, header, payload], from the oldest that is kept, and then as they come, until `signal`.
 */
export async function* entries(url, streams, signal) {
  const client = createClient({ url });
  client.on("error", (error) => console.error(`redis: ${error.message}`)); // it connects again by itself
  await client.connect();
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const last = new Map(streams.map((stream) => [stream, "0-0"]));
  try {
    while (!signal.aborted) {
      const wanted = [...last].map(([key, id]) => ({ key, id }));
      const found = (await bytes.xRead(wanted, { BLOCK: BLOCK_MS, COUNT: AT_ONCE })) ?? [];
      for (const { name, messages } of found) {
        for (const { id, message } of messages) {
          last.set(name.toString(), id.toString());
          yield [name.toString(), message.header, message.payload];
        }
      }
    }
  } finally {
    client.destroy();
  }
}
