"""Short-lived credentials: how a lane proves who it is with AWS, Google or Azure.

Beside `credentials`, which holds long-lived keys. One module for each cloud, all behind
`contract.Signer`; `identities` renews what they hold ahead of its end, in the background, so that
no request ever waits for a sign-in. What cannot sign in is a lane that cannot be called.
"""
