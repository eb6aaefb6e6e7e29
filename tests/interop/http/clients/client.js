// A client of the real package: calls come as lines of JSON, each is answered with one.
const readline = require("node:readline");
const { HttpRequest } = require("@azure/functions");
const df = require("durable-functions");

function read(_key, value) {
    if (value === null || typeof value !== "object") return value;
    if ("$moment" in value) return new Date(value.$moment);
    if ("$request" in value) return new HttpRequest({ method: "POST", url: value.$request });
    if ("$entity" in value) return new df.EntityId(value.$entity[0], value.$entity[1]);
    return value;
}

async function shown(result) {
    if (result === undefined || result === null) return null;
    if (typeof result.arrayBuffer !== "function") return result;
    return {
        status: result.status,
        headers: Object.fromEntries(result.headers),
        body: JSON.parse(await result.text()),
    };
}

let client;

async function answer({ binding, call, arguments: given }) {
    if (binding !== undefined) {
        const input = df.input.durableClient();
        client = df.getClient({
            options: { extraInputs: [input] },
            extraInputs: { get: () => JSON.parse(binding) },
        });
        return client.taskHubName;
    }
    return shown(await client[call](...given));
}

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
    let said;
    try {
        said = { result: await answer(JSON.parse(line, read)) };
    } catch (error) {
        said = { error: String(error.message) };
    }
    process.stdout.write(JSON.stringify(said) + "\n");
});
