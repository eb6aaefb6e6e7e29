import azure.functions as func


def main(myblob: func.InputStream, told: func.Out[func.QueueMessage]) -> None:
    told.set(func.QueueMessage(body=f"{myblob.name}: {myblob.read().decode()}"))
