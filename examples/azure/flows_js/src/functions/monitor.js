'use strict';

// Monitor: looks every half an hour whether the sky is clear, for six hours at most.

const df = require('durable-functions');

const { countTry, send } = require('../outbox');

const HALF_AN_HOUR = 30 * 60 * 1000;
const SIX_HOURS = 6 * 60 * 60 * 1000;

df.app.orchestration('monitor', function* (context) {
    const { place, clearAfter } = context.df.input;
    const deadline = context.df.currentUtcDateTime.getTime() + SIX_HOURS;
    let looks = 0;
    while (context.df.currentUtcDateTime.getTime() < deadline) {
        const clear = yield context.df.callActivity('isSkyClear', { place, clearAfter });
        looks += 1;
        if (clear) {
            yield context.df.callActivity('sendAlert', place);
            return { place, clear: true, looks };
        }
        const next = new Date(context.df.currentUtcDateTime.getTime() + HALF_AN_HOUR);
        yield context.df.createTimer(next);
    }
    return { place, clear: false, looks };
});

// Stands for a weather service: the sky is clear after so many looks.
df.app.activity('isSkyClear', {
    handler: ({ place, clearAfter }) => countTry(`sky-${place}`) > clearAfter,
});

df.app.activity('sendAlert', {
    handler: (place) => send('alerts', place, `the sky over ${place} is clear`),
});
