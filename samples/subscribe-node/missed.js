// Counting what was sent and did not arrive.

/** Messages are numbered from 1 within each topic and publisher session; a hole is what was missed. */
export class Missed {
  #last = new Map();
  count = 0;

  /** Take one header in; how many messages of its topic are missing just before it. One may stand for several. */
  see(topic, { session, number, numbers = 1 }) {
    const last = this.#last.get(topic);
    this.#last.set(topic, { session, number });
    if (last === undefined || last.session !== session) return 0; // the first number tells nothing
    const hole = Math.max(0, number - last.number - numbers);
    this.count += hole;
    return hole;
  }
}
