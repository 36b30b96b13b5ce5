// What a process tree has used, read from Linux's /proc: CPU time in µs (schedstat of every thread: nanoseconds, user
// and system together) and resident memory in bytes. Threads that ended are not counted: nothing measured here ends any.

import { readdirSync, readFileSync } from 'node:fs';

/** The parent of a process by its /proc/PID/stat, or null when it is gone. */
function parentOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // the program's name stands in brackets and may hold spaces and brackets itself
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return null;
  }
}

/** `root` and all its living descendants. */
export function processTree(root: number): number[] {
  const childrenOf = Map.groupBy(
    readdirSync('/proc').filter((name) => /^\d+$/.test(name)),
    parentOf,
  );
  const tree = [root];
  for (const pid of tree) tree.push(...(childrenOf.get(pid) ?? []).map(Number));
  return tree;
}

/** CPU time in µs that all living threads of these processes have used since they began. */
export function cpuMicroseconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ', 1)[0]);
    }
  }
  return nanoseconds / 1000;
}

/** Resident memory in bytes, summed over the processes (pages that they share count in each). */
export function residentBytes(pids: readonly number[]): number {
  let kibibytes = 0;
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    kibibytes += Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
  }
  return kibibytes * 1024;
}
