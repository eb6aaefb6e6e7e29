'use strict';

// Eternal orchestration: cleans up every night, and begins anew with a short history. The one here
// ends after as many nights as it is told.

const df = require('durable-functions');

const { send } = require('../outbox');

const A_DAY = 24 * 60 * 60 * 1000;

df.app.orchestration('cleanup', function* (context) {
    const { nights, done = 0 } = context.df.input;
    yield context.df.callActivity('removeOldFiles', done + 1);
    if (done + 1 >= nights) return { nights };
    const next = new Date(context.df.currentUtcDateTime.getTime() + A_DAY);
    yield context.df.createTimer(next);
    context.df.continueAsNew({ nights, done: done + 1 });
});

df.app.activity('removeOldFiles', {
    handler: (night) => send('cleanups', `night-${night}`, 'old files removed'),
});
