"""What functions of an app are given besides their trigger, and where what they give goes.

Owns the bindings of queues, blobs and tables: which there are, how their expressions are filled,
and the values between the services and the packages.
"""
