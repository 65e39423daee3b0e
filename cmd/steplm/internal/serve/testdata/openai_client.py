"""What the official openai package makes of a steplm server: python openai_client.py URL KEY. Prints one JSON object.

TestOpenAIPackage runs it where STEPLM_OPENAI names a Python that has openai.
"""
import json
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key=sys.argv[2], max_retries=0, timeout=120)
says = {"version": openai.__version__, "models": [m.id for m in client.models.list()]}
prompt = "Once upon a time"

whole = client.completions.create(model="small", prompt=prompt, temperature=0, max_tokens=12, logprobs=2)
says["text"], says["finish"] = whole.choices[0].text, whole.choices[0].finish_reason
says["tokens"], says["top"] = whole.choices[0].logprobs.tokens, len(whole.choices[0].logprobs.top_logprobs)
says["usage"] = whole.usage.total_tokens
says["stream"] = "".join(
    c.choices[0].text
    for c in client.completions.create(model="small", prompt=prompt, temperature=0, max_tokens=12, stream=True)
)
several = client.completions.create(model="small", prompt=[prompt, "Tom had a"], temperature=0, max_tokens=12, n=2, seed=1)
says["several"] = [c.text for c in several.choices]

said = [{"role": "system", "content": "Once"}, {"role": "user", "content": " upon a time"}]
chat = client.chat.completions.create(
    model="small", messages=said, temperature=0, max_completion_tokens=12, logprobs=True, top_logprobs=2
)
says["chat"] = chat.choices[0].message.content
says["chat_tokens"] = [t.token for t in chat.choices[0].logprobs.content]
pieces, usage = [], None
for c in client.chat.completions.create(
    model="small", messages=said, temperature=0, max_tokens=12, stream=True, stream_options={"include_usage": True}
):
    usage = c.usage or usage
    pieces += [x.delta.content or "" for x in c.choices]
says["chat_stream"], says["chat_usage"] = "".join(pieces), usage.completion_tokens
says["extra"] = client.completions.create(
    model="small", prompt=prompt, max_tokens=12, extra_body={"top_k": 1, "repetition_penalty": 1.0}
).choices[0].text

refusals = {}
for name, call in {
    "wrong key": lambda: client.with_options(api_key="wrong").models.list(),
    "no such model": lambda: client.models.retrieve("gpt-4"),
    "too long": lambda: client.completions.create(model="small", prompt="long " * 600),
    "too large": lambda: client.completions.create(model="small", prompt="a", n=100),
}.items():
    try:
        call()
    except openai.APIStatusError as e:
        refusals[name] = [type(e).__name__, e.status_code]
says["refusals"] = refusals
print(json.dumps(says))
