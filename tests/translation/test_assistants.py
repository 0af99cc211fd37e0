"""Coding assistants, as they hold their conversations: what Claude Code and Codex send in two turns
of work, in shapes recorded from the programs themselves, with words of our own.
"""

import json
from typing import Any

import anthropic
import openai
import pytest

from support.crossroads import FORMATS
from support.market import Market

LONG = "Work in small steps and say what you changed. " * 60
READ: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "file_path": {"type": "string", "description": "Which file"},
        "offset": {"type": "number", "description": "First line"},
    },
    "required": ["file_path"],
    "additionalProperties": False,
}
BETAS = "claude-code-20250219,interleaved-thinking-2025-05-14"
CACHED = {"cache_control": {"type": "ephemeral"}}


def claude_code(model: str, messages: list[Any]) -> dict[str, Any]:
    """Two system blocks and the last message are cache points; a large output limit; a user that
    is made of digests."""
    return {
        "model": model,
        "max_tokens": 32_000,
        "system": [
            {"type": "text", "text": "You are an assistant that writes code.", **CACHED},
            {"type": "text", "text": LONG, **CACHED},
        ],
        "messages": messages,
        "metadata": {"user_id": "user_5f1d_account__session_0c9e"},
        "tools": [
            {"name": "Read", "description": LONG, "input_schema": READ},
            {"name": "Bash", "description": "Run it", "input_schema": {"type": "object"}},
        ],
        "extra_headers": {"anthropic-beta": BETAS, "x-app": "cli"},
        "extra_query": {"beta": "true"},
    }


@pytest.mark.parametrize("wire", FORMATS)
def test_claude_code_reads_a_file_and_answers(crossroads: Market, wire: str) -> None:
    question = {"type": "text", "text": "What is in a.txt? [[tool 1]]"}
    key = crossroads.key("buyer")
    with anthropic.Anthropic(base_url=crossroads.url, api_key=key, max_retries=0) as client:
        asked = {"role": "user", "content": [question | CACHED]}
        with client.messages.stream(**claude_code(wire, [asked])) as stream:
            first = stream.get_final_message()
        (call,) = [block for block in first.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "1→hello\n", **CACHED}
        history = [
            {"role": "user", "content": [{"type": "text", "text": "What is in a.txt?"}]},
            {
                "role": "assistant",
                "content": [block.model_dump(exclude_none=True) for block in first.content],
            },
            {"role": "user", "content": [result]},
        ]
        with client.messages.stream(**claude_code(wire, history)) as stream:
            second = stream.get_final_message()
    assert first.stop_reason == "tool_use"
    assert second.stop_reason == "end_turn"
    assert "".join(block.text for block in second.content if block.type == "text")


def codex(model: str, items: list[Any]) -> dict[str, Any]:
    """Nothing is stored; reasoning comes back sealed; items have ids of the program's own."""
    instructions = {"type": "message", "id": "msg_a1", "role": "developer"}
    context = {"type": "message", "id": "msg_a2", "role": "user"}
    return {
        "model": model,
        "input": [
            instructions | {"content": [{"type": "input_text", "text": LONG}]},
            context | {"content": [{"type": "input_text", "text": "<cwd>/work</cwd>"}]},
            *items,
        ],
        "tools": [
            {
                "type": "function",
                "name": "exec_command",
                "description": LONG,
                "strict": False,
                "parameters": {
                    "type": "object",
                    "properties": {"cmd": {"type": "string"}, "timeout_ms": {"type": "number"}},
                    "required": ["cmd"],
                    "additionalProperties": False,
                },
            }
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "01a1ffdb-2f3f-7cc1-a212-32e54efec7bb",
        "extra_body": {"client_metadata": {"turn_id": "t1", "session_id": "s1"}},
        "extra_headers": {"originator": "codex_exec", "session-id": "s1"},
    }


@pytest.mark.parametrize("wire", FORMATS)
def test_codex_runs_a_command_and_answers(crossroads: Market, wire: str) -> None:
    key = crossroads.key("buyer")
    with openai.OpenAI(base_url=crossroads.openai_url, api_key=key, max_retries=0) as client:
        first = _completed(client, codex(wire, [_said("Which files? [[tool 1]]")]))
        (call,) = [item for item in first.output if item.type == "function_call"]
        left = {"type": "function_call_output", "call_id": call.call_id, "output": "a.txt\n"}
        before = [
            json.loads(item.model_dump_json(exclude_none=True, exclude={"status"}))
            for item in first.output
        ]
        second = _completed(client, codex(wire, [_said("Which files?"), *before, left]))
    assert call.name == "exec_command"
    assert second.output_text.strip()
    assert second.status == "completed"


def _said(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "id": "msg_a3", "role": "user", "content": content}


def _completed(client: openai.OpenAI, request: dict[str, Any]) -> Any:
    events = list(client.responses.create(**request))
    assert events[-1].type == "response.completed"
    return events[-1].response
