'use strict';

// Retry with backoff: 5, 10, 20 and 40 seconds after a failure, then it is given up.

const df = require('durable-functions');

const { countTry, send } = require('../outbox');

df.app.orchestration('payment', function* (context) {
    const payment = context.df.input;
    const retries = new df.RetryOptions(5_000, 5);
    retries.backoffCoefficient = 2;
    try {
        return yield context.df.callActivityWithRetry('chargeCard', retries, payment);
    } catch (error) {
        yield context.df.callActivity('reportFailedPayment', payment);
        return { payment: payment.id, status: 'failed' };
    }
});

// Stands for a gateway that is down as often as the payment says.
df.app.activity('chargeCard', {
    handler: ({ id, amount, failures }) => {
        const attempt = countTry(`payment-${id}`);
        if (attempt <= failures) throw new Error(`the gateway does not answer (try ${attempt})`);
        send('payments', id, `${amount} EUR charged`);
        return { payment: id, status: 'charged', attempts: attempt };
    },
});

df.app.activity('reportFailedPayment', {
    handler: ({ id, amount }) => send('payments', `${id}-failed`, `${amount} EUR not charged`),
});
