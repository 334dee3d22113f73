# For a tap of our own: homebrew-core takes no formula that downloads wheels, and MLX and PyTorch cannot be built from
# source there. Written from Homebrew's documentation and checked for syntax only: it has not been run on a Mac yet.
class Stenod < Formula
  desc "Transcribes recordings with word-level timestamps and survives crashes"
  homepage "https://pypi.org/project/stenod/"
  url "https://files.pythonhosted.org/packages/source/s/stenod/stenod-0.2.0.tar.gz"
  # Zeros until the release: `shasum -a 256 dist/stenod-*.tar.gz` gives the sum of the published archive.
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "MIT"

  depends_on arch: :arm64
  depends_on macos: :sonoma
  depends_on "python@3.12"

  def install
    (pkgshare/"source").install Dir["*"]
    (bin/"steno").write <<~SH
      #!/bin/sh
      exec "#{opt_libexec}/bin/steno" "$@"
    SH
    (bin/"steno").chmod 0755
  end

  # The environment is made here and not in `install`: Homebrew gives every library that `install` leaves behind a
  # longer name, for which prebuilt wheels have no room ("Failed changing dylib ID").
  # It is made under `opt`, whose path survives an upgrade: the service names its Python by it, and so does macOS in
  # Privacy & Security.
  def post_install
    system Formula["python@3.12"].opt_bin/"python3.12", "-m", "venv", "--clear", opt_libexec
    system opt_libexec/"bin/python", "-m", "pip", "install", "#{opt_pkgshare}/source[starter]"
  end

  def caveats
    <<~TEXT
      Start stenod with your session:      steno service install
      After an upgrade, restart it:        steno service restart
      Before you uninstall this formula:   steno service uninstall
    TEXT
  end

  test do
    ENV["STENO_HOME"] = testpath/"home"
    recording = opt_pkgshare/"source/client/recordings/memo.flac"
    system bin/"steno", "transcribe", recording, "--model", "starter", "-f", "txt", "-o", testpath
    assert_match "Thursday", (testpath/"memo.txt").read
  end
end
