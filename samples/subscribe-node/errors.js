/** Bytes that are not a message of version 1, or claim more than is accepted. */
export class WireError extends Error {}
