import { expect, test } from 'vitest';
import { answerTo, openQuestions } from '../../../src/inbound/workers/questions.ts';

test('each question gets its own answer, in whatever order they come', async () => {
  const sent: Array<readonly [number, string]> = [];
  const questions = openQuestions<string>((id, question) => void sent.push([id, question]));
  const answers = Promise.all([questions.ask('one'), questions.ask('two')]);
  for (const [id, question] of sent.toReversed()) questions.answered(id, `${question}!`);
  questions.answered(99, 'to nobody');
  expect(await answers).toEqual(['one!', 'two!']);
});

test('a failure comes back as one', async () => {
  const questions = openQuestions<string>((id) => {
    void answerTo(Promise.reject(new Error('no'))).then((answer) => questions.answered(id, answer));
  });
  await expect(questions.ask('one')).rejects.toThrow('no');
});

test('what waits when the other end goes, and what is asked after, is rejected', async () => {
  const questions = openQuestions<string>(() => {});
  const waiting = questions.ask('one');
  questions.end();
  await expect(waiting).rejects.toThrow('gone');
  await expect(questions.ask('two')).rejects.toThrow('gone');
});
