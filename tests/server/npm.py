"""npm packages for tests, installed once for each version of a package.json, under ~/.cache."""
import fcntl
import hashlib
import os
import shutil
import subprocess

INSTALL_SECONDS = 400


def install(kind, package_json):
    """The folder with node_modules, or None and why not. `kind` names the folder."""
    with open(package_json, "rb") as f:
        package = f.read()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "wen", kind + "-" + hashlib.sha256(package).hexdigest()[:16])
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(os.path.join(folder, "done")):
            return folder, ""
        if shutil.which("npm") is None:
            return None, "there is no npm"
        with open(os.path.join(folder, "package.json"), "wb") as f:
            f.write(package)
        try:
            p = subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund",
                                "--loglevel=error"], cwd=folder, capture_output=True, text=True,
                               timeout=INSTALL_SECONDS, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return None, "npm took too long"
        if p.returncode != 0:
            return None, "npm cannot install the packages"
        open(os.path.join(folder, "done"), "w").close()
        return folder, ""


def run_programs(folder, programs, environment, seconds=120, node="node"):
    """Runs programs that print one JSON line a test; prints TAP, returns the number that failed."""
    import json
    n = failed = 0
    for program in programs:
        try:
            p = subprocess.run([node, program], cwd=folder, env=environment, capture_output=True,
                               text=True, timeout=seconds)
            code, out, trouble = p.returncode, p.stdout, p.stderr
        except subprocess.TimeoutExpired as late:
            code, out, trouble = 1, (late.stdout or b"").decode(), f"more than {seconds} s"
        results = [json.loads(x) for x in out.splitlines() if x.startswith('{"name"')]
        if code != 0 or not results:
            results.append({"name": "runs to its end", "ok": False,
                            "detail": trouble[-2000:] + out[-500:]})
        for r in results:
            n += 1
            failed += not r["ok"]
            print(f"{'' if r['ok'] else 'not '}ok {n} - {program[:-4]}: {r['name']}")
            if not r["ok"]:
                print("\n".join("# " + x for x in r["detail"].splitlines()[:12]))
    print(f"1..{n}")
    return failed
