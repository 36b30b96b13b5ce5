// A gate before an upstream whose every byte the test decides; both new for each test of a file.

import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type RawUpstream, startRawUpstream } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from './gate-fixture.ts';

export interface RawScene {
  readonly upstream: RawUpstream;
  readonly gate: GateFixture;
}

export function gateBeforeRawUpstream(): RawScene {
  let house: GateHouse;
  let upstream: RawUpstream;
  let gate: GateFixture;
  beforeAll(async () => {
    house = await openGateHouse();
  });
  afterAll(async () => await house.close());
  beforeEach(async () => {
    upstream = await startRawUpstream();
    gate = await house.start(upstream.port);
  });
  afterEach(async () => {
    await gate.close();
    upstream.close();
  });
  return {
    get upstream() {
      return upstream;
    },
    get gate() {
      return gate;
    },
  };
}
