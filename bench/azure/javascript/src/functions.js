'use strict';
const df = require('durable-functions');

df.app.activity('azure_say', { handler: (value) => value });

df.app.activity('azure_rest', {
    handler: (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); }),
});

df.app.orchestration('azure_slow', function* (context) {
    for (let number = 0; number < context.df.getInput(); number += 1) {
        yield context.df.callActivity('azure_rest', 200);
    }
});

df.app.orchestration('azure_hello', function* (context) {
    const said = [];
    for (const city of ['Tokyo', 'Seattle', 'London']) {
        said.push(yield context.df.callActivity('azure_say', city));
    }
    return said;
});

df.app.orchestration('azure_chain', function* (context) {
    let sum = 0;
    for (let number = 0; number < context.df.getInput(); number += 1) {
        sum += yield context.df.callActivity('azure_say', 1);
    }
    return sum;
});

df.app.orchestration('azure_fan_out', function* (context) {
    const tasks = [];
    for (let number = 0; number < context.df.getInput(); number += 1) {
        tasks.push(context.df.callActivity('azure_say', 1));
    }
    const said = yield context.df.Task.all(tasks);
    return said.reduce((sum, one) => sum + one, 0);
});
