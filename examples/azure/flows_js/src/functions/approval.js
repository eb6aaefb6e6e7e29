'use strict';

// Approval with escalation: a person has three days to answer, then the next one is asked.

const df = require('durable-functions');

const { send } = require('../outbox');

const APPROVERS = ['manager', 'director'];
const THREE_DAYS = 3 * 24 * 60 * 60 * 1000;

df.app.orchestration('approval', function* (context) {
    const request = context.df.input;
    for (const approver of APPROVERS) {
        yield context.df.callActivity('askForApproval', { ...request, approver });
        const deadline = new Date(context.df.currentUtcDateTime.getTime() + THREE_DAYS);
        const timeout = context.df.createTimer(deadline);
        const answer = context.df.waitForExternalEvent('Approval');
        const winner = yield context.df.Task.any([answer, timeout]);
        if (winner === answer) {
            timeout.cancel(); // or the orchestration waits for it
            const status = answer.result.approved ? 'approved' : 'rejected';
            yield context.df.callActivity('tellDecision', { ...request, status });
            return { request: request.id, status, by: approver };
        }
    }
    yield context.df.callActivity('tellDecision', { ...request, status: 'expired' });
    return { request: request.id, status: 'expired', by: null };
});

df.app.activity('askForApproval', {
    handler: ({ id, amount, approver }) =>
        send('approvals', `${id}-to-${approver}`, `please approve ${amount} EUR`),
});

df.app.activity('tellDecision', {
    handler: ({ id, status }) => send('approvals', `${id}-decision`, status),
});
