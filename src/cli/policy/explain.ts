// certgate policy explain: may this identity do that, and by which binding, role, permission and line. It decides as the
// gate does, by the same functions.
import { Command } from 'commander';
import { nearest } from '../../config/nearest.ts';
import { EXIT, shown } from '../../errors.ts';
import { parseGroups } from '../../identity/groups.ts';
import { ATTRIBUTES, attributesOf } from '../../identity/identify.ts';
import { parseIdentityName } from '../../identity/name.ts';
import {
  type Explanation,
  explain,
  explainOperation,
  operationNames,
  operationsNamed,
  requestParts,
} from '../../policy/explain.ts';
import { answersGraph } from '../../policy/graph-masks.ts';
import type { Attributes, Grants, Origin, Policy } from '../../policy/policy.ts';
import { refusalWords } from '../../policy/refusal.ts';
import { fillsIn, makesQueues, startsDeployed } from '../../policy/run-overrides.ts';
import { asksByBody } from '../../policy/secrets.ts';
import { untold } from '../../policy/untold.ts';
import { printable, printableJson } from '../escape.ts';
import { choiceFlag, collect, usage } from '../flags.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { withSettings } from '../settings.ts';
import { untestedPolicyAt } from './place.ts';

interface Flags {
  readonly policy?: string;
  readonly group?: readonly string[];
  readonly attribute?: readonly string[];
  readonly json?: true;
}

export function explainCommand(io: CommandIo): Command {
  const command = describe(new Command('explain'), 'show whether an identity may do something, and why', {
    examples: [
      ['may she create a flow', 'certgate policy explain user/alice POST /api/flows/'],
      [
        "may the worker set a run's state; any id will do",
        'certgate policy explain worker/etl-1 POST /api/flow_runs/0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f/set_state',
      ],
      [
        'for a certificate of this organisation',
        'certgate policy explain worker/etl-1 POST /api/flows/filter --attribute O=Data',
      ],
      ['a WebSocket', 'certgate policy explain worker/etl-1 WEBSOCKET /api/events/in'],
    ],
    notes: [`exit code 0 means yes, ${EXIT.refused} means no.`],
  })
    .argument('<IDENTITY>', 'e.g. user/alice')
    .argument(
      '<METHOD>',
      "GET, POST, PATCH, PUT, DELETE or WEBSOCKET; or, without a path, Prefect's name for an operation",
    )
    .argument('[PATH]', 'with the base path and, where it matters, the query')
    .option('--group <NAME>', 'a group of its certificate; may be repeated', collect)
    .option('--attribute <NAME=VALUE>', 'another attribute of its certificate, e.g. O=Data; may be repeated', collect)
    .option('--policy <FILE>', 'use this policy instead of serve.policy')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (name: string, method: string, path: string | undefined, flags: Flags) => {
    const identity = parseIdentityName(name);
    const attributes = attributesOf(parseGroups(flags.group ?? []), (flags.attribute ?? []).map(attributeIn));
    const { policy } = await untestedPolicyAt(flags.policy, command, io);
    const said =
      path === undefined
        ? named(policy, identity, method, attributes)
        : asked(policy, identity, method, path, attributes);
    if (!said.permit) io.setExitCode(EXIT.refused);
    if (flags.json === true) return io.out(printableJson(jsonOf(said, policy.mode), 2));
    for (const line of linesOf(said, policy.grants(identity, attributes))) io.out(printable(line));
    if (said.permit) return;
    if (policy.mode === 'observe') io.say('the policy only observes: the gate would let it pass, and count it');
    else if (policy.grants(identity, attributes).observes)
      io.say('a role of it only observes: the gate would let it pass, and count it');
  });
}

/** `O=Data`, in two. */
function attributeIn(text: string): readonly [attribute: string, value: string] {
  const equals = text.indexOf('=');
  const attribute = choiceFlag('--attribute', equals === -1 ? text : text.slice(0, equals), ATTRIBUTES);
  if (equals === -1) throw usage(`--attribute ${attribute} has no value`, `for example --attribute ${attribute}=Data`);
  return [attribute, text.slice(equals + 1)];
}

function named(policy: Policy, identity: string, name: string, attributes: Attributes): Explanation {
  const [operation] = operationsNamed(name);
  if (operation !== undefined) return explainOperation(policy, identity, operation, false, '', attributes);
  const near = nearest(name, operationNames());
  const remedy =
    near === null ? 'for example: certgate policy explain user/alice POST /api/flows/' : `did you mean ${near}?`;
  throw usage(`Prefect has no operation ${shown(name)}`, remedy);
}

function asked(policy: Policy, identity: string, method: string, path: string, attributes: Attributes): Explanation {
  const parts = requestParts(`${method.toUpperCase()} ${path}`);
  if (parts === null) {
    const remedy = 'for example: certgate policy explain user/alice POST /api/flows/';
    throw usage(`${shown(`${method} ${path}`)} is not a request`, remedy);
  }
  const said = explain(policy, identity, parts.method, parts.target, attributes);
  if (said !== null) return said;
  throw usage(`the gate accepts no target like ${shown(path)} from anybody`, 'see docs/strictness.md');
}

function linesOf(said: Explanation, grants: Grants): string[] {
  const { identity, operation, roles } = said;
  const what = operation === null ? 'an operation that certgate does not know' : operation.name;
  const lines = [`${said.permit ? 'yes' : 'no'}: ${identity} ${said.permit ? 'may do' : 'may not do'} ${what}`];
  for (const { role, binding } of roles) lines.push(`  has ${role}, bound at ${binding}`);
  if (roles.length === 0) lines.push('  has no role');
  for (const { permission, given, taken } of said.needs) {
    if (taken !== null) lines.push(`  needs ${permission}: denied ${originWords(taken)}`);
    else if (given === null) lines.push(`  needs ${permission}: no role grants it`);
    else lines.push(`  needs ${permission}: given ${originWords(given)}`);
  }
  if (operation !== null && said.needs.length === 0) lines.push('  needs no permission: any role will do');
  if (said.permit && asksByBody(operation) && !grants.has('see_secret_blocks')) {
    lines.push('  without see_secret_blocks: the secrets are left out of the answer');
  }
  if (said.permit && answersGraph(operation) && !grants.has('see_artifacts')) {
    lines.push('  without see_artifacts: the artifacts are left out of the answer');
  }
  if (said.permit && startsDeployed(operation) && !grants.has('run_flows')) {
    lines.push(
      '  and run_flows, if its body has other job_variables than the deployment: no role grants it, or one denies it',
    );
  }
  if (said.permit && makesQueues(operation) && !grants.has('write_work_queues')) {
    lines.push(
      '  and write_work_queues, if its body names a work queue that does not exist: no role grants it, or one denies it',
    );
  }
  if (said.permit && fillsIn(operation) && !grants.has('see_variables')) {
    lines.push('  and see_variables, if its body inserts the value of a variable: no role grants it, or one denies it');
  }
  const { ruling } = said;
  const lacks = said.permit && ruling.permit ? untold(operation, grants, ruling.scope)?.permissions : undefined;
  if (lacks !== undefined)
    lines.push(`  without ${lacks.join(', ')}: events that hold what that is for are left out of the answer`);
  if (said.scope !== null) lines.push(`  within ${said.scope.words}: ${scopeSays(said.scope.bounds)}`);
  if (said.secrets === 'hide') lines.push('  the secrets are left out of the answer');
  if (!said.permit) lines.push(`  the gate says: ${refusalWords(said)}`);
  return lines;
}

function scopeSays(bounds: NonNullable<Explanation['scope']>['bounds']): string {
  if (bounds.kind === 'refuse') return `it ${bounds.why}`;
  const things = [...new Set(bounds.needs.map((need) => need.ref.type.replaceAll('_', ' ')))];
  const looks = things.length === 0 ? [] : [`the gate asks Prefect whose the ${things.join(' and the ')} is`];
  if (bounds.readBody) looks.push('its body is read, and must stay within');
  return looks.length === 0 ? 'it is' : looks.join('; ');
}

function originWords({ role, holder, place }: Origin): string {
  const by = holder === role ? `by ${role}` : `by ${holder}, which ${role} extends`;
  return place === null ? `${by} (built in)` : `${by} at ${place}`;
}

function jsonOf(said: Explanation, mode: string): object {
  const { identity, permit, operation, ruling, roles, needs, scope, secrets } = said;
  return {
    identity,
    permit,
    mode,
    operation: operation?.name ?? null,
    why: ruling.permit ? (permit ? null : secrets === 'refuse' ? 'missing' : 'scope') : ruling.why,
    scope: scope === null ? null : { within: scope.words, says: scopeSays(scope.bounds) },
    role: permit && ruling.permit ? ruling.role : null,
    rule: permit && ruling.permit ? ruling.rule : null,
    roles,
    needs,
    secrets,
    refusal: permit ? null : refusalWords(said),
  };
}
