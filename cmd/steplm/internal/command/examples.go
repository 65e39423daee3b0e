package command

import (
	"strings"

	"github.com/alecthomas/kong"
)

// examples are command lines that each command's help shows, by the command's name. A test parses every one.
var examples = map[string][]string{
	"demo": {"steplm demo", "steplm demo --steps 60 --dir /tmp/steplm"},
	"pretrain": {
		"steplm pretrain --model 15m --tokenizer tokenizer.json --data data/train --tokens 30M --out runs/first",
		"steplm pretrain --model 368m --stages 3 --memory-limit 6GB --tokenizer tokenizer.json " +
			"--data hf://datasets/HuggingFaceFW/fineweb-edu/sample/10BT --shards 2 --steps 20k --out runs/step",
		"steplm pretrain --resume runs/first",
		"steplm pretrain --init models/small --method step --layers 24 --data data/train --tokens 1B --out runs/grown",
	},
	"sft": {
		"steplm sft --model runs/first --data hf://datasets/tatsu-lab/alpaca --epochs 3 --full --out runs/tuned",
		"steplm sft --model models/small --data chats.jsonl --lora --holdout 0.02 --patience 2 --out runs/tuned",
	},
	"experiment": {
		"steplm experiment paper-table --scale small --data data/train --validation data/validation --out paper-table",
		"steplm experiment --write pilot", "steplm experiment paper-table",
		"steplm experiment instruct --from paper-table --data hf://datasets/tatsu-lab/alpaca " +
			"--questions mt_bench/question.jsonl --out instruct",
	},
	"grow": {"steplm grow models/small --layers 24 --out models/deep", "steplm grow runs/wsd@stable-900 --layers 12 " +
		"--operator zero --out models/deep"},
	"plan": {
		"steplm plan --model 368m --stages 2", "steplm plan --model tiny --memory-limit 6GB --device gpu",
		"steplm plan --model 1.2b --stages 2 --processes 8 --rate 5e13",
	},
	"plot":     {"steplm plot runs/step runs/vanilla --svg loss.svg --smooth 20"},
	"eval ppl": {"steplm eval ppl --model runs/first --wikitext wiki.test.raw"},
	"eval all": {
		"steplm eval all --model runs/step --model runs/vanilla --tasks lambada,arc_easy,piqa --data data/tasks " +
			"--validation data/validation --wikitext wiki.test.raw",
	},
	"score": {"steplm score --model runs/first --text 'The cat sat on the mat.'"},
	"mtbench answers": {
		"steplm mtbench answers --model runs/sft --questions mt_bench/question.jsonl " +
			"--answers mt_bench/model_answer/sft.jsonl",
	},
	"mtbench judge": {
		"steplm mtbench judge --questions mt_bench/question.jsonl --answers mt_bench/model_answer/sft.jsonl " +
			"--judgments mt_bench/model_judgment/gpt-4_single.jsonl --dry-run",
		"steplm mtbench judge --mode pairwise-all --judge-model qwen3 --base-url http://127.0.0.1:8000/v1 " +
			"--questions mt_bench/question.jsonl --answers mt_bench/model_answer " +
			"--judgments mt_bench/model_judgment/qwen3_pair.jsonl",
	},
	"mtbench show": {
		"steplm mtbench show --questions mt_bench/question.jsonl --answers mt_bench/model_answer " +
			"--judgments mt_bench/model_judgment/gpt-4_single.jsonl",
	},
	"eval tasks": {
		"steplm eval tasks --model runs/first --tasks lambada,arc_easy,piqa",
		"steplm eval tasks --model runs/first --tasks hellaswag --data data/tasks --num-fewshot 10 --json",
	},
	"generate": {
		"steplm generate --model runs/first --prompt 'The sea is' --max-tokens 64",
		"steplm generate --model runs/first --batch prompts.jsonl --temperature 0",
	},
	"chat": {
		"steplm chat --model smollm2 --temperature 0.7", "steplm chat --model runs/sft --template alpaca",
	},
	"export": {
		"steplm export runs/step --to hf --out model", "steplm export runs/step@step-200 --to peft --out adapter",
		"steplm export runs/step --to gguf --dtype q8_0 --out model.gguf",
	},
	"report": {"steplm report runs --out report", "steplm report runs/step runs/vanilla --out report --serve"},
	"serve": {
		"steplm serve --model runs/first",
		"steplm serve --model SmolLM2-135M --host 0.0.0.0 --port 8080 --api-key-file key.txt --slots 16",
	},
	"devices list":    {"steplm devices", "steplm devices list --json"},
	"devices tune":    {"steplm devices tune --model 60m --seq-len 512"},
	"bench matmul":    {"steplm bench matmul --device vulkan"},
	"bench attention": {"steplm bench attention --batch 4"},
	"bench step":      {"steplm bench step --model 15m --batch-size 4"},
	"bench generate":  {"steplm bench generate --model 60m --batch 1,4,16"},
	"bench methods":   {"steplm bench methods --model tiny --seq-len 128"},
	"bench reduce":    {"mpirun -n 2 steplm bench reduce"},
	"bench tuning":    {"steplm bench tuning --model runs/first --data alpaca_data.json"},
	"bench all":       {"steplm bench all --json"},
	"tokenizer train": {"steplm tokenizer train --data data/train --vocab 32k --out tokenizer.json"},
	"tokenizer encode": {
		`echo '"The cat"' | steplm tokenizer encode --tokenizer tokenizer.json`,
	},
	"tokenizer decode": {"echo '[464, 3797]' | steplm tokenizer decode --tokenizer tokenizer.json"},
	"data fetch":       {"steplm data fetch hf://datasets/HuggingFaceFW/fineweb-edu/sample/10BT --shards 2"},
	"data inspect":     {"steplm data inspect data/train"},
	"data tokenize":    {"steplm data tokenize data/train --tokenizer tokenizer.json"},
	"completion":       {"steplm completion bash", "steplm completion --code zsh"},
	"help":             {"steplm help", "steplm help data tokenize"},
}

// addExamples puts examples below the help of every command.
func addExamples(node *kong.Node, path string) {
	for _, child := range node.Children {
		name := strings.TrimSpace(path + " " + child.Name)
		addExamples(child, name)
		if list := examples[name]; len(list) > 0 {
			text := "Examples:\n\n  " + strings.Join(list, "\n  ")
			child.Detail = strings.TrimSpace(child.Detail + "\n\n" + text)
		}
	}
}
