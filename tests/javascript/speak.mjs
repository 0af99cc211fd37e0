// Says what the tests ask for by the JavaScript SDKs that vendors ship, and tells what they heard.
//
// One JSON document a line on standard input:  {id, surface, stream, url, key, request}
// One a line on standard output:               {id, answer, run} or {id, error: {name, status, body}}
//
// Answers are put together by the SDKs themselves, streams by their own accumulators.

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { createInterface } from "node:readline";

// The header is kept by the SDK's own fetch hook, which each of them has.
function listening(heard) {
  return async (url, options) => {
    const response = await fetch(url, options);
    heard.run = response.headers.get("x-signalbox-run-id") ?? "";
    return response;
  };
}

const SURFACES = {
  async chat({ url, key, stream, request }, heard) {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, fetch: listening(heard) });
    if (!stream) return client.chat.completions.create(request);
    return client.chat.completions.stream(request).finalChatCompletion();
  },
  async responses({ url, key, stream, request }, heard) {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, fetch: listening(heard) });
    if (!stream) return client.responses.create(request);
    return client.responses.stream(request).finalResponse();
  },
  async messages({ url, key, stream, request }, heard) {
    const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, fetch: listening(heard) });
    if (!stream) return client.messages.create(request);
    return client.messages.stream(request).finalMessage();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const heard = { id: asked.id, run: "" };
  try {
    heard.answer = await SURFACES[asked.surface](asked, heard);
  } catch (error) {
    heard.error = { name: error.constructor.name, status: error.status ?? 0, body: error.error ?? null, text: String(error) };
  }
  process.stdout.write(`${JSON.stringify(heard)}\n`);
}
