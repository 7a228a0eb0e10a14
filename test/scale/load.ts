/** How long the load lasts before, between and after what happens to it, in milliseconds: LOAD_SECONDS, or one second. */
export const LOAD_MS = Number(process.env.LOAD_SECONDS ?? 1) * 1000
