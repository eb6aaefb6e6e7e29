'use strict';
// Cookies of an answer, as the packages describe them, as headers.

const SAME_SITE = { lax: 'Lax', strict: 'Strict', explicitNone: 'None' };

/** The value of a `set-cookie` header. As in Azure a cookie is for all paths unless it says so. */
function setCookie({ name, value, domain, path, expires, secure, httpOnly, sameSite, maxAge }) {
    const parts = [`${name}=${encodeURIComponent(value)}`];
    if (maxAge?.value !== undefined) parts.push(`Max-Age=${Math.trunc(maxAge.value)}`);
    if (domain?.value) parts.push(`Domain=${domain.value}`);
    parts.push(`Path=${path?.value ?? '/'}`);
    if (expires?.value) {
        parts.push(`Expires=${new Date(Number(expires.value.seconds) * 1000).toUTCString()}`);
    }
    if (httpOnly?.value) parts.push('HttpOnly');
    if (secure?.value) parts.push('Secure');
    if (SAME_SITE[sameSite]) parts.push(`SameSite=${SAME_SITE[sameSite]}`);
    return parts.join('; ');
}

module.exports = { setCookie };
