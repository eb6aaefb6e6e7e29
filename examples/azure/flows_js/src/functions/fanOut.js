'use strict';

// Fan-out, fan-in: all e-mails at once, and a count of those that could not be sent.

const df = require('durable-functions');

const { send } = require('../outbox');

df.app.orchestration('newsletter', function* (context) {
    const { subject, readers } = context.df.input;
    const addresses = yield context.df.callActivity('listReaders', readers);
    const tasks = addresses.map((to) => context.df.callActivity('sendEmail', { to, subject }));
    const outcomes = yield context.df.Task.all(tasks);
    const refused = outcomes.filter((outcome) => !outcome.sent).map((outcome) => outcome.to);
    const sent = outcomes.length - refused.length;
    yield context.df.callActivity('reportNewsletter', { subject, sent, failed: refused.length });
    return { sent, failed: refused.length, refused };
});

// Stands for a table of readers; every fiftieth has typed a wrong address.
df.app.activity('listReaders', {
    handler: (count) =>
        Array.from({ length: count }, (_, index) =>
            index % 50 === 49 ? `reader${index}` : `reader${index}@example.org`
        ),
});

// What cannot be sent is an outcome, not an error: one of them would end the wait for all.
df.app.activity('sendEmail', {
    handler: ({ to, subject }) => {
        if (!to.includes('@')) return { to, sent: false };
        send('mail', to, subject);
        return { to, sent: true };
    },
});

df.app.activity('reportNewsletter', {
    handler: ({ subject, sent, failed }) =>
        send('reports', subject, `${sent} sent, ${failed} failed`),
});
