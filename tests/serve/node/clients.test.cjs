/* Clients for Node against a running server: openai, ollama, and what AnythingLLM's embedding engines do with them.
 *
 *   HEDDLE_URL=http://127.0.0.1:8080 HEDDLE_EXPECTED=expected.json NODE_PATH=... node --test clients.test.cjs
 *
 * expected.json: {"texts": [...], "vectors": [[...]], "cut": [[...]] (of 8 dimensions)}, made by `heddle embed`.
 * The engines are those of https://github.com/Mintplex-Labs/anything-llm/tree/master/server/utils/EmbeddingEngines (2026-08), with
 * the version of openai that its package.json pins: the same calls with the same arguments, nulls among them.
 */
"use strict";
const assert = require("node:assert");
const fs = require("node:fs");
const test = require("node:test");
const { OpenAI } = require("openai");
const { OpenAI: OlderOpenAI } = require("openai-anythingllm");
const { Ollama } = require("ollama");

const url = process.env.HEDDLE_URL;
const { texts, vectors, cut } = JSON.parse(fs.readFileSync(process.env.HEDDLE_EXPECTED, "utf8"));

function close(got, expected) {
    assert.strictEqual(got.length, expected.length);
    got.forEach((row, i) => {
        assert.strictEqual(row.length, expected[i].length);
        row.forEach((x, k) => assert.ok(Math.abs(x - expected[i][k]) < 1e-6, `${i}, ${k}: ${x}, wanted ${expected[i][k]}`));
    });
}

const rows = (answer) => answer.data.map((row) => Array.from(row.embedding));

for (const [name, Client] of [["openai", OpenAI], ["openai 4", OlderOpenAI]]) {
    const client = new Client({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 0 });

    test(`${name}: base64, which it asks for by itself`, async () => {
        const answer = await client.embeddings.create({ model: "any", input: texts });
        close(rows(answer), vectors);
        assert.strictEqual(answer.model, "any");
        assert.deepStrictEqual(answer.data.map((row) => row.index), texts.map((_, i) => i));
        assert.ok(answer.usage.prompt_tokens > texts.length);
    });

    test(`${name}: floats, dimensions, one text`, async () => {
        close(rows(await client.embeddings.create({ model: "any", input: texts, encoding_format: "float" })), vectors);
        close(rows(await client.embeddings.create({ model: "any", input: texts, dimensions: 8 })), cut);
        close(rows(await client.embeddings.create({ model: "any", input: texts[0] })), vectors.slice(0, 1));
    });

    test(`${name}: models`, async () => {
        const { data } = await client.models.list();
        assert.strictEqual(data.length, 1);
        assert.strictEqual((await client.models.retrieve(data[0].id)).id, data[0].id);
    });

    test(`${name}: errors are its own classes`, async () => {
        await assert.rejects(client.embeddings.create({ model: "any", input: [] }), Client.BadRequestError);
        await assert.rejects(client.embeddings.create({ model: "any", input: "x", dimensions: 4096 }), (error) => {
            assert.ok(error instanceof Client.BadRequestError);
            assert.strictEqual(error.param, "dimensions");
            assert.match(error.message, /4096/);
            return true;
        });
        const lost = new Client({ baseURL: `${url}/nothing`, apiKey: "key", maxRetries: 0 });
        await assert.rejects(lost.embeddings.create({ model: "any", input: "x" }), Client.NotFoundError);
    });

    test(`${name}: a hundred at once`, async () => {
        const answers = await Promise.all(Array.from({ length: 100 }, (_, i) =>
            client.embeddings.create({ model: "any", input: [texts[i % texts.length]] })));
        answers.forEach((answer, i) => close(rows(answer), [vectors[i % texts.length]]));
    });
}

test("ollama", async () => {
    const client = new Ollama({ host: url });
    close((await client.embed({ model: "all-minilm", input: texts })).embeddings, vectors);
    close((await client.embed({ model: "all-minilm", input: texts, dimensions: 8 })).embeddings, cut);
    assert.strictEqual((await client.list()).models.length, 1);
    await assert.rejects(client.embed({ model: "m", input: texts, truncate: false, options: { num_ctx: 3 } }),
        /input length exceeds the context length/);
});

/* ---- AnythingLLM ---- */

const many = Array.from({ length: 120 }, (_, i) => texts[i % texts.length]);
const manyVectors = many.map((_, i) => vectors[i % texts.length]);

/* No key and no model set are null: the model goes out as null. Up to 500 chunks at once. */
test("AnythingLLM, Generic OpenAI", async () => {
    const client = new OlderOpenAI({ baseURL: `${url}/v1`, apiKey: null });
    const { data } = await client.embeddings.create({ model: null, input: many });
    assert.ok(data.every((row) => Object.prototype.hasOwnProperty.call(row, "embedding")));
    close(data.map((row) => row.embedding), manyVectors);
});

/* Batches of 50 all at the same time, floats; dimensions are null unless they are set. */
test("AnythingLLM, LocalAI", async () => {
    const client = new OlderOpenAI({ baseURL: `${url}/v1`, apiKey: null });
    const chunks = [many.slice(0, 50), many.slice(50, 100), many.slice(100)];
    const answers = await Promise.all(chunks.map((input) =>
        client.embeddings.create({ model: "m", input, dimensions: null, encoding_format: "float" })));
    close(answers.map(rows).flat(), manyVectors);
});

/* Looks whether there is anything at the base URL, then embeds chunk by chunk with the context length of its settings. */
test("AnythingLLM, Ollama", async () => {
    assert.ok((await fetch(url, { headers: {} })).ok);
    const client = new Ollama({ host: url, headers: {} });
    for (const [i, text] of texts.entries()) {
        const { embeddings } = await client.embed({ model: "nomic-embed-text", input: [text], options: { num_ctx: 8192 } });
        close(embeddings, [vectors[i]]);
    }
});

/* Its LM Studio engine asks for base64 by name and takes the answer for a list of numbers, as LM Studio sends one whatever is
 * asked: it cannot be used with servers that do as they are told. What comes before that, and the answer, are as it should be. */
test("AnythingLLM, LM Studio", async () => {
    const client = new OlderOpenAI({ baseURL: `${url}/v1`, apiKey: null });
    assert.ok((await client.models.list()).data.length > 0);
    const { data } = await client.embeddings.create({ model: "m", input: texts[0], encoding_format: "base64" });
    const bytes = Buffer.from(data[0].embedding, "base64");
    close([Array.from(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4))], vectors.slice(0, 1));
});
