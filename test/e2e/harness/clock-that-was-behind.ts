// Preloaded into a process (NODE_OPTIONS=--import): its wall clock is four minutes behind until it is put right three
// seconds after the start, as by NTP, or as on a machine that has slept. What was issued before is then due for renewal.

const now = Date.now.bind(Date);
const start = performance.now();
Date.now = () => (performance.now() - start < 3000 ? now() - 240_000 : now());
