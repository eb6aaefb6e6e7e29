'use strict';

// Reminder: who has not paid three days after the invoice is reminded.

const df = require('durable-functions');

const { send } = require('../outbox');

const THREE_DAYS = 3 * 24 * 60 * 60 * 1000;

df.app.orchestration('reminder', function* (context) {
    const invoice = context.df.input;
    yield context.df.callActivity('sendInvoice', invoice);
    const due = new Date(context.df.currentUtcDateTime.getTime() + THREE_DAYS);
    const timer = context.df.createTimer(due);
    const paid = context.df.waitForExternalEvent('Paid');
    const winner = yield context.df.Task.any([paid, timer]);
    if (winner === paid) {
        timer.cancel();
        return { invoice: invoice.id, paid: true, by: paid.result, reminded: false };
    }
    yield context.df.callActivity('sendReminder', invoice);
    return { invoice: invoice.id, paid: false, by: null, reminded: true };
});

df.app.activity('sendInvoice', {
    handler: ({ id, customer }) => send('invoices', id, `dear ${customer}, here is your invoice`),
});

df.app.activity('sendReminder', {
    handler: ({ id, customer }) => send('invoices', `${id}-reminder`, `dear ${customer}, please pay`),
});
