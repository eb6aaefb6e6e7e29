'use strict';
// Functions in the shapes in which the documentation of Azure Functions shows its bindings.

const { appendFileSync } = require('node:fs');
const { app, input, output, trigger } = require('@azure/functions');
const df = require('durable-functions');

const connection = 'AzureWebJobsStorage';
const told = (queueName) => output.storageQueue({ queueName, connection });

// --- queues

app.storageQueue('storageQueueTrigger1', {
    queueName: 'javascriptitems',
    connection: 'STORAGE_CONNECTION',
    return: told('javascripttold'),
    handler: (queueItem, context) => {
        context.log('Storage queue function processed work item:', queueItem);
        const { triggerMetadata } = context;
        return {
            id: triggerMetadata.id,
            body: triggerMetadata.queueTrigger,
            item: queueItem,
            expiration_time: triggerMetadata.expirationTime,
            insertion_time: triggerMetadata.insertionTime,
            time_next_visible: triggerMetadata.nextVisibleTime,
            pop_receipt: Boolean(triggerMetadata.popReceipt),
            dequeue_count: triggerMetadata.dequeueCount,
        };
    },
});

const queueOutput = output.storageQueue({ queueName: '%OUT_QUEUE%', connection });

app.http('message', {
    authLevel: 'anonymous',
    extraOutputs: [queueOutput],
    handler: async (request, context) => {
        context.extraOutputs.set(queueOutput, request.query.get('name'));
        return { body: 'OK' };
    },
});

app.http('messages', {
    authLevel: 'anonymous',
    extraOutputs: [queueOutput],
    handler: async (request, context) => {
        context.extraOutputs.set(queueOutput, ['one', 'two']);
        return { body: 'OK' };
    },
});

const answer = output.http({});
app.generic('returned', {
    trigger: trigger.http({ authLevel: 'anonymous' }),
    return: queueOutput,
    extraOutputs: [answer],
    handler: async (request, context) => {
        context.extraOutputs.set(answer, { status: 202, body: 'both' });
        return Buffer.from('an object of the package');
    },
});

app.timer('tick', {
    schedule: '0 0 0 1 1 *',
    runOnStartup: true,
    return: output.storageQueue({ queueName: 'javascripttick', connection }),
    handler: () => 'ticked',
});

app.storageQueue('fails', {
    queueName: 'javascriptfails',
    connection,
    handler: (message) => {
        appendFileSync(process.env.NOTED, `${message}\n`);
        throw new Error('it always fails');
    },
});

// --- queues of Tenuto: the setting is not there

const own = output.storageQueue({ queueName: 'own', connection: 'NOT_THERE' });
app.http('own', {
    authLevel: 'anonymous',
    extraOutputs: [own],
    handler: async (request, context) => {
        context.extraOutputs.set(own, { name: request.query.get('name') });
        return { body: 'queued' };
    },
});

// --- blobs

const copy = output.storageBlob({ path: 'javascriptcopies/{name}-%COPY%.{ext}', connection });

app.storageBlob('storageBlobTrigger1', {
    path: 'javascriptplates/{name}.{ext}',
    connection,
    return: told('javascriptplatestold'),
    extraOutputs: [copy],
    handler: (blob, context) => {
        const { triggerMetadata } = context;
        context.log(`processed blob "${triggerMetadata.name}" with size ${blob.length} bytes`);
        if (blob.toString() === 'bad') {
            appendFileSync(process.env.NOTED, `${triggerMetadata.blobTrigger}\n`);
            throw new Error('no plate');
        }
        context.extraOutputs.set(copy, blob);
        return {
            name: triggerMetadata.blobTrigger,
            uri: triggerMetadata.uri,
            length: blob.length,
            type: triggerMetadata.properties.contentType,
            metadata: triggerMetadata.metadata,
        };
    },
});

const blobInput = input.storageBlob({ path: 'javascriptsamples/{queueTrigger}', connection });
const blobOutput = output.storageBlob({ path: 'javascriptsamples/{queueTrigger}-Copy', connection });

app.storageQueue('copyBlob1', {
    queueName: 'javascriptcopy',
    connection,
    extraInputs: [blobInput],
    return: blobOutput,
    handler: (queueItem, context) => context.extraInputs.get(blobInput),
});

const fileInput = input.storageBlob({ path: 'javascriptsamples/{name}', connection });
app.http('file', {
    authLevel: 'anonymous',
    route: 'file/{name}',
    extraInputs: [fileInput],
    handler: async (request, context) => {
        const file = context.extraInputs.get(fileInput);
        return file === undefined ? { status: 404, body: 'none' } : { body: file };
    },
});

// --- tables

const messages = output.table({
    tableName: 'javascriptmessages',
    connection,
    partitionKey: 'message',
});
app.http('table_out_binding', {
    authLevel: 'anonymous',
    extraOutputs: [messages],
    handler: async (request, context) => {
        const rowKey = crypto.randomUUID();
        context.extraOutputs.set(messages, [
            { Name: 'Output binding message', Size: 4_000_000_000, RowKey: rowKey },
        ]);
        return { body: `Message created with the rowKey: ${rowKey}` };
    },
});

const tableInput = input.table({
    tableName: 'javascriptproducts',
    partitionKey: 'products',
    rowKey: '{id}',
    connection,
});
app.http('products', {
    authLevel: 'anonymous',
    route: 'products/{id}',
    extraInputs: [tableInput],
    handler: async (request, context) => {
        const product = context.extraInputs.get(tableInput);
        return product ? { jsonBody: product } : { body: 'none' };
    },
});

const listInput = input.table({
    tableName: 'javascriptproducts',
    partitionKey: 'products',
    filter: "Name ne '{Query.without}'",
    take: 2,
    connection,
});
app.http('list', {
    authLevel: 'anonymous',
    extraInputs: [listInput],
    handler: async (request, context) => ({ jsonBody: context.extraInputs.get(listInput) }),
});

// --- Event Grid

app.eventGrid('eventgrid_output', {
    return: told('javascriptevents'),
    handler: ({ id, eventType, subject, data }) => JSON.stringify([id, eventType, subject, data]),
});

// --- durable functions

app.storageQueue('starter', {
    queueName: 'javascriptstart',
    connection,
    extraInputs: [df.input.durableClient()],
    handler: async (said, context) => {
        const client = df.getClient(context);
        await client.startNew('trip', { instanceId: said.trip, input: said });
    },
});

df.app.orchestration('trip', function* (context) {
    const written = yield context.df.callActivity('write', context.df.getInput());
    const read = yield context.df.callActivity('read', { trip: context.df.instanceId });
    const said = [];
    for (const name of ['unread', 'unwritten']) {
        try {
            yield context.df.callActivity(name, { trip: context.df.instanceId });
        } catch (error) {
            said.push(error.message);
        }
    }
    return [written, read, ...said];
});

df.app.activity('unread', {
    extraInputs: [input.storageBlob({ path: 'javascripttrips/{nobody}', connection })],
    handler: () => {
        throw new Error('it was called');
    },
});

const rows = output.table({ tableName: 'javascriptrows', connection });
df.app.activity('unwritten', {
    extraOutputs: [rows],
    handler: (trip, context) => {
        context.extraOutputs.set(rows, { PartitionKey: 'p' });
        return 'never seen';
    },
});

const report = output.storageBlob({ path: 'javascripttrips/{instanceId}.txt', connection });
const tripsTold = told('javascripttripstold');
df.app.activity('write', {
    extraOutputs: [report, tripsTold],
    handler: (trip, context) => {
        context.extraOutputs.set(report, `to ${trip.to}`);
        context.extraOutputs.set(tripsTold, `trip ${trip.trip}`);
        return 'written';
    },
});

const reportInput = input.storageBlob({ path: 'javascripttrips/{trip}.txt', connection });
df.app.activity('read', {
    extraInputs: [reportInput],
    handler: (trip, context) => context.extraInputs.get(reportInput).toString(),
});
