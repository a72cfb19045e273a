"""The page is served to this machine, and to others only with a token and TLS."""

from pathlib import Path

import pytest

from realtime.config.schema import load_config, to_toml
from realtime.config.viewer import ViewSettings
from realtime.errors import SettingsError

TOKEN = "0123456789abcdef0123456789abcdef"
TLS = {"tls_cert": Path("c.pem"), "tls_key": Path("k.pem")}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.9.1"])
def test_loopback_needs_no_token(host):
    assert ViewSettings(host=host).loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "headset.local"])
def test_other_machines_need_both(host):
    with pytest.raises(ValueError, match="needs token and tls_cert with tls_key; make them with"):
        ViewSettings(host=host)
    with pytest.raises(ValueError, match="needs tls_cert with tls_key;"):
        ViewSettings(host=host, token=TOKEN)
    with pytest.raises(ValueError, match="needs token;"):
        ViewSettings(host=host, **TLS)
    assert not ViewSettings(host=host, token=TOKEN, **TLS).loopback


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"port": 70000}, "port must be 0 to 65535"),
        ({"jpeg_quality": 0}, "jpeg_quality must be 1 to 100"),
        ({"max_viewers": 0}, "max_viewers must be 1 to 256"),
        ({"display_size": (0, 5)}, "display_size must be two numbers"),
        ({"display_size": (9000, 5)}, "display_size must be two numbers"),
        ({"token": "short"}, "token must be at least 16"),
        ({"token": "has spaces in it, and more"}, "token must be at least 16 ASCII letters and digits"),
        ({"tls_cert": Path("c.pem")}, "go together"),
        ({"homography": (1.0, 2.0)}, "nine finite numbers"),
        ({"homography": (1.0,) * 9}, "cannot be inverted"),
        ({"homography": (float("nan"),) * 9}, "nine finite numbers"),
    ],
)
def test_unusable_settings_are_refused(changes, expected):
    with pytest.raises(ValueError, match=expected):
        ViewSettings(**changes)


def test_the_section_is_read_and_written(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[view]\nport = 9000\nhomography = [2, 0, 0, 0, 2, 0, 0, 0, 1]\ndisplay_size = [640, 400]\n")
    config = load_config(file, {"view": {"enabled": True}})
    assert (config.view.port, config.view.enabled, config.view.display_size) == (9000, True, (640, 400))
    again = tmp_path / "again.toml"
    again.write_text(to_toml(config))
    assert load_config(again, {}) == config
    with pytest.raises(SettingsError, match=r"view\.host 0\.0\.0\.0 can be reached from other machines"):
        load_config(None, {"view": {"host": "0.0.0.0"}})
