import logging

import azure.functions as func


def main(msg: func.QueueMessage, inputblob: bytes) -> bytes:
    logging.info("processed %s with %d bytes", msg.get_body(), len(inputblob))
    return inputblob
