// Functions of each kind of trigger that use a durable client.
const { app } = require("@azure/functions");
const df = require("durable-functions");

const extraInputs = [df.input.durableClient()];

df.app.orchestration("waits", function* (context) {
    return yield context.df.waitForExternalEvent("done");
});

df.app.orchestration("asks", function* (context) {
    const done = context.df.waitForExternalEvent("done");
    yield context.df.callActivity("tell", context.df.instanceId);
    return yield done;
});

df.app.activity("tell", {
    extraInputs,
    handler: (instance, context) => df.getClient(context).raiseEvent(instance, "done", "told"),
});

app.timer("at_startup", {
    schedule: "0 0 1 1 *",
    runOnStartup: true,
    extraInputs,
    handler: async (timer, context) => {
        await df.getClient(context).startNew("waits", { instanceId: "of-the-timer" });
    },
});

app.http("start", {
    authLevel: "anonymous",
    extraInputs,
    handler: async (request, context) => {
        const client = df.getClient(context);
        await client.startNew("waits", { instanceId: "of-the-request" });
        await client.getStatus("of-the-request");
        await client.raiseEvent("of-the-request", "done", context.invocationId);
        return { body: context.invocationId };
    },
});

app.http("purge", {
    authLevel: "anonymous",
    extraInputs,
    handler: async (request, context) => {
        const client = df.getClient(context);
        await client.terminate("of-the-timer", "over");
        const { instancesDeleted } = await client.purgeInstanceHistory("of-the-request");
        return { body: String(instancesDeleted) };
    },
});
