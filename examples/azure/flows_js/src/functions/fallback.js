'use strict';

// Fallback: when the first service fails, a second one is asked.

const df = require('durable-functions');

df.app.orchestration('quote', function* (context) {
    const parcel = context.df.input;
    try {
        return yield context.df.callActivity('quoteOfNorthCourier', parcel);
    } catch (error) {
        context.df.setCustomStatus('the first courier does not answer');
        return yield context.df.callActivity('quoteOfSouthCourier', parcel);
    }
});

df.app.activity('quoteOfNorthCourier', {
    handler: ({ kilograms, down }) => {
        if (down.includes('north')) throw new Error('north courier: 503 service unavailable');
        return { courier: 'north', price: 4 + 2 * kilograms };
    },
});

df.app.activity('quoteOfSouthCourier', {
    handler: ({ kilograms, down }) => {
        if (down.includes('south')) throw new Error('south courier: 503 service unavailable');
        return { courier: 'south', price: 6 + 2 * kilograms };
    },
});
