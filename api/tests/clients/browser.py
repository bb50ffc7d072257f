"""A headless Chromium, spoken to by its DevTools protocol: pages, clicks, screenshots, and what went wrong."""

import base64
import json
import shutil
import subprocess
import tempfile
import time

from websockets.sync.client import connect

PROGRAMS = ["chromium-headless-shell", "chromium", "google-chrome"]
PATIENCE_SECONDS = 30


def program():
    """The browser that is installed, if one is."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One browser with one page."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        command = [program(), *flags, f"--user-data-dir={self.folder.name}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if "DevTools listening on " in line:
                break
        else:
            raise RuntimeError("the browser did not start: " + "".join(said))
        self.socket = connect(line.split("DevTools listening on ")[1].strip(), max_size=None)
        self.number, self.wrong = 0, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.folder.cleanup()

    def call(self, method, **params):
        """Asks the browser, and collects what it says of errors meanwhile."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if hasattr(self, "session"):
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv(timeout=PATIENCE_SECONDS))
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def note(self, event):
        """Keeps errors: exceptions, error lines of the console, and what the browser itself complains of."""
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.wrong.append(json.dumps(params["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.wrong.append(json.dumps(params["args"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.wrong.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def size(self, width, height, dark=False):
        """Sets how large the window is, and which colours its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def run(self, script):
        """Runs a script in the page and returns its value."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script):
        """Waits until a script gives something that is true, and returns it."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            value = self.run(f"(() => {{ try {{ const found = {script}; return found instanceof Node || found }} catch {{ return null }} }})()")
            if value:
                return value
            if time.monotonic() > ends:
                raise RuntimeError(f"never: {script}\n{self.run('document.body.innerText')}\n{self.wrong}")
            # The page works in another process: asking it again is how one waits for it.
            self.run("new Promise((done) => setTimeout(done, 20))")

    def picture(self, path, whole=False):
        """Writes what is seen to a PNG."""
        if whole:
            height = self.run("document.documentElement.scrollHeight")
            width = self.run("innerWidth")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            data = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        else:
            data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
