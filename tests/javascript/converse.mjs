// Whole conversations as frameworks hold them: a tool is called, its result goes back, an answer
// streams, an object is asked for. One JSON document a line in, {id, framework, url, key, model};
// one a line out, {id, called, answered, streamed, object}.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { Anthropic as LlamaAnthropic, AnthropicSession } from "@llamaindex/anthropic";
import { openai as llamaOpenAI } from "@llamaindex/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { FunctionTool } from "llamaindex";
import { createInterface } from "node:readline";
import { z } from "zod";

const WEATHER = z.object({ place: z.string() });
const LADDER = z.object({ rungs: z.number().int(), issuer: z.string() });
const LIMITS = { maxRetries: 0, maxOutputTokens: 500 };
const ASKING = "Weather in Oslo and Rome? [[tool 2]]";

// The framework runs the tool itself: `called` holds what it was called with.
async function vercel(model, providerOptions = {}) {
  const called = [];
  const weather = tool({
    description: "Somewhere",
    inputSchema: WEATHER,
    execute: async (input) => { called.push(input); return { sky: "rain" }; },
  });
  const told = await generateText({
    model, system: "Be brief.", prompt: ASKING, tools: { weather }, stopWhen: stepCountIs(2), prepareStep: afterwards, ...LIMITS, providerOptions,
  });
  const stream = streamText({ model, messages: [...history(told), { role: "user", content: "And tomorrow?" }], tools: { weather }, ...LIMITS, providerOptions, onError: ({ error }) => { throw error; } });
  let streamed = "";
  for await (const piece of stream.textStream) streamed += piece;
  const { output } = await generateText({
    model, prompt: "A ladder", output: Output.object({ schema: LADDER, name: "ladder" }), ...LIMITS, providerOptions,
  });
  return { called, answered: told.text, streamed, object: output };
}

// The simulated provider calls tools whenever it is told to: once is enough.
function afterwards({ messages, stepNumber }) {
  const asked = { role: "user", content: "Weather in Oslo and Rome?" };
  return stepNumber ? { messages: messages.map((each) => (each.role === "user" ? asked : each)) } : {};
}

function history(told) {
  return [{ role: "user", content: "Weather in Oslo and Rome?" }, ...told.response.messages];
}

async function llamaindex(llm) {
  const called = [];
  const weather = FunctionTool.from((input) => { called.push(input); return "rain"; }, { name: "weather", description: "Somewhere", parameters: WEATHER });
  const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: ASKING }];
  const first = await llm.exec({ messages, tools: [weather] });
  messages[1] = { role: "user", content: "Weather in Oslo and Rome?" };
  messages.push(...first.newMessages);
  const told = await llm.chat({ messages, tools: [weather] });
  let streamed = "";
  for await (const piece of await llm.chat({ messages: [...messages, told.message, { role: "user", content: "And tomorrow?" }], tools: [weather], stream: true })) streamed += piece.delta;
  const { object } = await llm.exec({ messages: [{ role: "user", content: "A ladder [[tool 1]]" }], responseFormat: LADDER });
  return { called, answered: text(told.message.content), streamed, object };
}

function text(content) {
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
}

const FRAMEWORKS = {
  "vercel/chat": ({ url, key, model }) => vercel(createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat(model)),
  "vercel/responses": ({ url, key, model }) => vercel(createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).responses(model), { openai: { store: false } }),
  "vercel/messages": ({ url, key, model }) => vercel(createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model)),
  "llamaindex/chat": ({ url, key, model }) => llamaindex(llamaOpenAI({ model, apiKey: key, maxRetries: 0, maxTokens: 500, additionalSessionOptions: { baseURL: `${url}/v1` }, baseURL: `${url}/v1` })),
  "llamaindex/messages": ({ url, key, model }) => llamaindex(new LlamaAnthropic({ model, maxTokens: 500, session: new AnthropicSession({ apiKey: key, baseURL: url, maxRetries: 0 }) })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let heard;
  try {
    heard = { id: asked.id, ...(await FRAMEWORKS[asked.framework](asked)) };
  } catch (error) {
    heard = { id: asked.id, error: { name: error.constructor.name, status: error.statusCode ?? error.status ?? 0, body: error.responseBody ?? error.error ?? null, text: `${error}\n${error.stack}` } };
  }
  process.stdout.write(`${JSON.stringify(heard)}\n`);
}
