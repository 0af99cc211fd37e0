"""The simulated provider: the judge that Signalbox is measured against.

It stands outside the system, where OpenAI, Anthropic, Mistral or a self-hosted vLLM would
stand. It runs as its own process (``python -m signalbox_simulator``), speaks the providers'
wire formats over HTTP, counts tokens with its own tokenizer, prices them from its own sheet and
writes its own bill. It imports nothing of Signalbox, and Signalbox imports nothing of it but
``process.SimulatorProcess``, which only starts it.

A request for ``https://HOST/PATH`` arrives at ``http://127.0.0.1:PORT/HOST/PATH``; HOST selects
the section of the price sheet.

How tokens are counted
======================

All text is counted in ``o200k_base`` tokens, times the model's ``token_scale`` (rounded up) for
vendors with another vocabulary, but never more than the text has UTF-8 bytes: no byte-level
vocabulary can exceed that.

Chat completions and responses (after OpenAI's cookbook, "How to count tokens with tiktoken"):

- 3 per message, 1 more where it has a ``name``, 3 per request to prime the answer;
- roles are counted inside the 3; content, names, tool call names and arguments as text;
- tools: 12 per request, 8 per tool, plus name, description and compact parameters as text;
- a response schema: 10 plus its compact JSON as text;
- images: 85 with detail ``low``, else 85 + 170 per tile of 512 pixels after scaling into 2048 x
  2048 and then to a short side of 768 (at most 1,445); an image behind a URL is taken to be 1024 x
  1024 (765);
- files: 1,500 per PDF page;
- responses: an item counts as a message, reasoning that comes back as the text that it was.

Messages (Anthropic publishes no vocabulary; the overheads are those of its tool-use
documentation):

- 3 per message, 3 per request; text as above;
- tools: the model's ``tool_preamble_tokens`` once, 8 per tool, plus name, description and schema as
  text; 245 more for the ``bash`` tool, 700 for the text editor;
- images: width x height / 750, rounded up, at most 1,500 (also for an image behind a URL);
- documents: 1,500 per PDF page, plain text as text.

Converse (Bedrock): as messages; a document's name and context are text, and so is the schema of an
answer, with 10 more.

Generate content (Gemini; the image rule is Google's, the overheads are the simulator's own):

- 2 per content, 2 per request, 3 per function call or response, 6 per function; text as above;
- images: 258 if no side exceeds 384, else 258 per tile of 768 pixels; 258 per PDF page.

Output is what was generated: one per generated token, reasoning included, tool call names
included, the tokens of a stop sequence included. Hidden reasoning comes first and counts within
the output limit.

Prompt caching: automatic for chat completions (prefixes of at least 1,024 tokens, in steps of
128, per credential, host, model and ``prompt_cache_key``, for ten minutes); explicit for
messages and Converse (``cache_control``, ``cachePoint``; at most four, five minutes or an hour,
refreshed by use). Only models with a price for cached input cache anything.

What is billed
==============

Every answer with status 200, once, before its last byte leaves: one JSON line, amounts in
integer pico-USD rounded up. Error statuses bill nothing. A stream that the client cuts bills
its input and what had been generated, which goes on for at most ``--generate-after-disconnect``
tokens.
"""
