const { app } = require("@azure/functions");
const df = require("durable-functions");

df.app.activity("stamp", { handler: (text) => `${text}: approved` });

df.app.orchestration("Approval", function* (context) {
    const by = yield context.df.waitForExternalEvent("Decision");
    return yield context.df.callActivity("stamp", `${context.df.getInput().what} by ${by}`);
});

app.http("start", {
    route: "approvals/{what:alpha}",
    methods: ["POST"],
    authLevel: "function",
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
        const client = df.getClient(context);
        const what = request.params.what;
        const id = await client.startNew("approval", { input: { what } });
        return client.createCheckStatusResponse(request, id);
    },
});

app.http("decide", {
    route: "approvals/{id}/{by=nobody}",
    methods: ["PUT"],
    authLevel: "anonymous",
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
        const client = df.getClient(context);
        await client.raiseEvent(request.params.id, "Decision", request.params.by);
        return {
            status: 201,
            headers: { "x-by": request.params.by },
            cookies: [
                { name: "a", value: "1" },
                { name: "b", value: "2", httpOnly: true },
            ],
            jsonBody: { by: request.params.by, tags: request.query.getAll("tag") },
        };
    },
});

app.http("broken", {
    authLevel: "anonymous",
    handler: async () => {
        throw new Error("it is out of order");
    },
});
