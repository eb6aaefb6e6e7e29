'use strict';
const df = require('durable-functions');

const HOUR = 3_600_000;

function later(context, milliseconds) {
    return new Date(context.df.currentUtcDateTime.getTime() + milliseconds);
}

function retries(milliseconds, attempts) {
    return new df.RetryOptions(milliseconds, attempts);
}

function flaky(context, label, fails, options) {
    const key = `${context.df.instanceId}-${label}`;
    return context.df.callActivityWithRetry('flaky', options, { key, fails });
}

df.app.orchestration('hello', function* (context) {
    const greetings = [];
    for (const city of ['Tokyo', 'Seattle', 'London']) {
        greetings.push(yield context.df.callActivity('say_hello', city));
    }
    return greetings;
});

df.app.orchestration('chain', function* (context) {
    const values = [];
    for (let value = 0; value < 3; value += 1) {
        values.push(yield context.df.callActivity('echo', value));
    }
    return values;
});

df.app.orchestration('fan', function* (context) {
    const tasks = [];
    for (let value = 0; value < 20; value += 1) tasks.push(context.df.callActivity('echo', value));
    const values = yield context.df.Task.all(tasks);
    return values.reduce((sum, value) => sum + value, 0);
});

df.app.orchestration('retry_ok', function* (context) {
    const first = yield flaky(context, 'a', 2, retries(1000, 5));
    return [first, yield context.df.callActivity('echo', 'z')];
});

df.app.orchestration('retry_fail', function* (context) {
    let said;
    try {
        yield flaky(context, 'a', 99, retries(1000, 2));
    } catch (error) {
        said = error.message;
    }
    return [said, yield context.df.callActivity('echo', 'z')];
});

df.app.orchestration('retry_all', function* (context) {
    const values = yield context.df.Task.all([
        flaky(context, 'a', 2, retries(1000, 3)),
        context.df.callActivity('echo', 1),
        flaky(context, 'b', 1, retries(1000, 3)),
    ]);
    return [values, yield context.df.callActivity('echo', 'z')];
});

// The retried activity loses against the timer, and goes on.
df.app.orchestration('retry_any_mixed', function* (context) {
    const activity = flaky(context, 'a', 2, retries(5000, 3));
    const timer = context.df.createTimer(later(context, 2000));
    const winner = yield context.df.Task.any([activity, timer]);
    const first = yield context.df.callActivity('echo', 'y');
    const value = yield activity;
    const second = yield context.df.callActivity('echo', 'y2');
    return [winner === timer ? 'timer' : 'activity', value, first, second];
});

df.app.orchestration('any_timer', function* (context) {
    const event = context.df.waitForExternalEvent('go');
    const timer = context.df.createTimer(later(context, HOUR));
    const winner = yield context.df.Task.any([event, timer]);
    if (winner === event) timer.cancel();
    const told = winner === event ? ['event', event.result] : ['timer', null];
    return [...told, yield context.df.callActivity('echo', 'z')];
});

// The events come while the activity runs.
df.app.orchestration('early_events', function* (context) {
    yield context.df.callActivity('echo', 'first');
    const values = [];
    for (let count = 0; count < 3; count += 1) {
        values.push(yield context.df.waitForExternalEvent('early'));
    }
    return values;
});

df.app.orchestration('sub_parent', function* (context) {
    const chained = yield context.df.callSubOrchestrator('chain');
    const child = yield context.df.callSubOrchestrator('child', { v: 1 }, 'my-child');
    const said = [];
    try {
        yield context.df.callSubOrchestrator('broken_child');
    } catch (error) {
        said.push(error.message);
    }
    try {
        yield context.df.callSubOrchestratorWithRetry('broken_child', retries(1000, 2));
    } catch (error) {
        said.push(error.message);
    }
    return [chained, child, ...said, yield context.df.callActivity('echo', 'z')];
});

df.app.orchestration('child', function* (context) {
    const { parentInstanceId, instanceId } = context.df;
    return [context.df.getInput(), Boolean(parentInstanceId), instanceId];
});

df.app.orchestration('broken_child', function* () {
    throw new Error('child broke');
});

df.app.orchestration('can', function* (context) {
    const count = context.df.getInput() ?? 0;
    const value = yield context.df.callActivity('echo', count);
    if (value < 4) {
        context.df.continueAsNew(value + 1);
        return undefined;
    }
    return value;
});

// Its input is an address that answers 202 first.
df.app.orchestration('http', function* (context) {
    const answer = yield context.df.callHttp({ method: 'GET', url: context.df.getInput() });
    const { statusCode, content } = answer;
    return [{ statusCode, content }, yield context.df.callActivity('echo', 'z')];
});

df.app.orchestration('nested', function* (context) {
    const { Task } = context.df;
    const timer = context.df.createTimer(later(context, HOUR));
    const [both, winner] = yield Task.all([
        Task.all([context.df.callActivity('echo', 1), context.df.callActivity('echo', 2)]),
        Task.any([context.df.callActivity('echo', 3), timer]),
    ]);
    timer.cancel();
    return [both, winner.result, yield context.df.callActivity('echo', 'z')];
});

// Tasks that have completed are yielded again, alone and in another compound task.
df.app.orchestration('reyield', function* (context) {
    const { Task } = context.df;
    const first = context.df.callActivity('echo', 'a');
    const second = context.df.callActivity('echo', 'b');
    yield Task.any([first, second]);
    const both = yield Task.all([first, second]);
    const again = yield first;
    return [both, again, yield context.df.callActivity('echo', 'z')];
});

df.app.orchestration('guid_status', function* (context) {
    const { instanceId } = context.df;
    const ids = [context.df.newGuid(instanceId)];
    context.df.setCustomStatus({ phase: 1 });
    yield context.df.callActivity('echo', 1);
    ids.push(context.df.newGuid(instanceId), context.df.newGuid(instanceId));
    context.df.setCustomStatus({ phase: 2 });
    yield context.df.callActivity('echo', 2);
    context.df.setCustomStatus({ phase: 'end' });
    return [new Set(ids).size, ids[0]];
});

df.app.orchestration('fails', function* (context) {
    yield context.df.Task.all([
        context.df.callActivity('echo', 1),
        context.df.callActivity('echo', 2),
    ]);
    throw new Error('bad thing');
});

// An orchestrator that awaits nothing.
df.app.orchestration('nogen', function* () {
    return 'plain';
});

// One timer for all of the waits, as in the sample of phone verification.
df.app.orchestration('sms', function* (context) {
    const timer = context.df.createTimer(later(context, HOUR));
    const values = [];
    while (values.length < 3) {
        const event = context.df.waitForExternalEvent('code');
        const winner = yield context.df.Task.any([event, timer]);
        if (winner === timer) break;
        values.push(event.result);
    }
    if (!timer.isCompleted) timer.cancel();
    return [values, yield context.df.callActivity('echo', 'z')];
});

// The try that fails and the activity beside it may come in the same turn, in either order.
df.app.orchestration('order', function* (context) {
    const tried = flaky(context, 'a', 1, retries(1000, 3));
    const beside = context.df.callActivity('echo', 'b');
    yield context.df.Task.any([beside, tried]);
    const third = yield context.df.callActivity('echo', 'c');
    const fourth = yield context.df.callActivity('echo', 'd');
    return [third, fourth, yield tried];
});
