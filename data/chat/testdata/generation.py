"""What {% generation %} marks, by jinja2 with a mark at each end of it: python3 generation.py > generation.json

Spans are bytes of the text in UTF-8, as From and To.
"""
import json

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

BEGIN, END = "\ue000", "\ue001"


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("marked"), [], [], body).set_lineno(line)

    def marked(self, caller):
        return BEGIN + caller() + END


env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

TEMPLATES = {
    "chatml": "{%- for message in messages %}\n    {{- '<|im_start|>' + message['role'] + '\\n' }}\n    {%- if message['role'] == 'assistant' %}\n        {%- generation %}\n            {{- message['content'] + '<|im_end|>' }}\n        {%- endgeneration %}\n        {{- '\\n' }}\n    {%- else %}\n        {{- message['content'] + '<|im_end|>\\n' }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}",
    "the last answer alone": "{% for m in messages %}{% if m.role == 'assistant' and loop.last %}A:{% generation %}{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.role | upper }}: {{ m.content }}\n{% endif %}{% endfor %}",
    "thoughts are left out": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content if loop.last else m.content.split('</think>')[-1] }}\n{% endgeneration %}{% else %}[{{ m.content }}]{% endif %}{% endfor %}",
    "blocks with lines": "{% for m in messages %}\n  {% if m.role == 'assistant' %}\n    {% generation %}\n{{ m.content }}\n    {% endgeneration %}\n  {% else %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}",
}

CONVERSATIONS = [
    [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Grüße, 世界"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>hm</think>b"},
     {"role": "user", "content": "c"}, {"role": "assistant", "content": "<think>so</think>d"}],
    [{"role": "user", "content": "a"}],
]

out = []
for name, source in TEMPLATES.items():
    for messages in CONVERSATIONS:
        marked = env.from_string(source).render(messages=messages, add_generation_prompt=False)
        text, spans = "", []
        for part in marked.split(BEGIN):
            if END in part:
                inner, part = part.split(END)
                start = len(text.encode())
                text += inner
                spans.append([start, len(text.encode())])
            text += part
        out.append({"name": name, "source": source, "messages": messages, "text": text, "spans": spans})
print(json.dumps(out, ensure_ascii=False, indent=1))
