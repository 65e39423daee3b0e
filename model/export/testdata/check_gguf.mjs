// Asks llama.cpp about a GGUF file and prints what it says, as one JSON object.
//
// Usage: node check_gguf.mjs FOLDER FILE.gguf, with the request on standard input:
//   {"texts": [...], "scored": [[ids], ...], "greedy": [ids] or null, "tokens": n}
//
// FOLDER holds node_modules with node-llama-cpp 3.22.1 and its prebuilt llama.cpp for this system; TestGGUFInLlamaCpp
// runs this where STEPLM_LLAMACPP names it, and says how the goldens beside this file are made. Keys and values are kept
// in 32 bits, so that what is left of a difference is the weights'.
import {createRequire} from "module";
import {readFileSync} from "fs";
import {join, resolve} from "path";
import {pathToFileURL} from "url";

const [folder, file] = process.argv.slice(2);
const request = JSON.parse(readFileSync(0, "utf8"));
const find = createRequire(join(resolve(folder), "any.js"));
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(find.resolve("node-llama-cpp")).href);
const llama = await getLlama({gpu: false, build: "never", skipDownload: true, maxThreads: 2, logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: resolve(file), gpuLayers: 0, useMmap: false});
const context = await model.createContext({
    contextSize: model.trainContextSize, batchSize: model.trainContextSize, sequences: 1, flashAttention: false,
    experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32",
});
const sequence = context.getSequence();

const says = {
    bos: model.tokens.bos, eos: model.tokens.eos, puts_bos: model.tokens.shouldPrependBosToken,
    chat_template: model.fileInfo.metadata.tokenizer.chat_template ?? null,
    ids: request.texts.map((text) => [...model.tokenize(text)]),
    back: request.texts.map((text) => model.detokenize(model.tokenize(text))),
    logprobs: [],
    greedy: [],
};
for (const ids of request.scored) {
    await sequence.clearHistory();
    const states = await sequence.controlledEvaluate(ids.map((id) => [id, {generateNext: {logits: true}}]));
    says.logprobs.push(ids.slice(1).map((id, i) => {
        const logits = [...states[i].next.logits.values()], most = Math.max(...logits);
        const sum = logits.reduce((all, x) => all + Math.exp(x - most), 0);
        return Number((states[i].next.logits.get(id) - most - Math.log(sum)).toFixed(6));
    }));
}
if (request.greedy) {
    await sequence.clearHistory();
    for await (const id of sequence.evaluate(request.greedy, {temperature: 0, yieldEogToken: true})) {
        says.greedy.push(id);
        if (says.greedy.length >= request.tokens) break;
    }
}
process.stdout.write(JSON.stringify(says) + "\n", () => process.exit(0));
