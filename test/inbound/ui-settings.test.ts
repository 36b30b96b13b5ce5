import { describe, expect, it } from 'vitest';
import { readResponseHead } from '../../src/http1/response.ts';
import { rewriteUiSettings } from '../../src/inbound/ui-settings.ts';

const bytes = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n', 'latin1');
const head = readResponseHead(bytes, 0, 'GET', { headBytes: 1024, headerLines: 10 });
if (head?.ok !== true) throw new Error('the fixture is no answer');
const rewrite = (body: string): string =>
  String(
    rewriteUiSettings('https', 'gate.test:8443', { holdsPassword: false, apiPath: '/api' }).rewrite(
      Buffer.from(body),
      head,
    ),
  );

describe('what the UI is told about its API', () => {
  it.each(['http://127.0.0.1:4200/api', 'http://localhost:4200/api', 'http://0.0.0.0:4200/api'])(
    'is the address it came by, where Prefect would name %s',
    (api_url) => {
      expect(JSON.parse(rewrite(JSON.stringify({ api_url, csrf_enabled: true })))).toEqual({
        api_url: 'https://gate.test:8443/api',
        csrf_enabled: true,
      });
    },
  );

  it('is /api, where Prefect has it elsewhere', () => {
    const told = rewriteUiSettings('https', 'gate.test', { holdsPassword: false, apiPath: '/prefect' });
    const said = (api_url: string): unknown =>
      JSON.parse(String(told.rewrite(Buffer.from(JSON.stringify({ api_url })), head)));
    expect(said('http://127.0.0.1:4200/prefect')).toEqual({ api_url: 'https://gate.test/api' });
    expect(said('https://prefect.example/prefect')).toEqual({ api_url: 'https://prefect.example/prefect' });
  });

  it('asks for no password that the gate holds', () => {
    const told = rewriteUiSettings('http', '127.0.0.1:4210', { holdsPassword: true, apiPath: '/api' }).rewrite(
      Buffer.from('{"api_url":"http://localhost:4200/api","auth":"BASIC"}'),
      head,
    );
    expect(JSON.parse(String(told))).toEqual({ api_url: 'http://127.0.0.1:4210/api', auth: null });
  });

  it('stays what an operator has set', () => {
    const set = '{"api_url":"https://prefect.example/api"}';
    expect(rewrite(set)).toBe(set);
  });

  it.each(['', 'null', '[]', '{"api_url":7}', '{"api_url":"not a url"}', 'no json'])('passes %j as it is', (body) => {
    expect(rewrite(body)).toBe(body);
  });
});
