#include "app/desktop/preferences.h"

#include <algorithm>
#include <cmath>

namespace olivine::desktop {

Preferences::Preferences(const QString& file)
    : file_(file, QSettings::IniFormat),
      theme_(file_.value("theme", "system").toString()),
      zoom_(std::clamp(file_.value("zoom", 1.0).toDouble(), kLeastZoom, kMostZoom)),
      sidebar_(file_.value("sidebar", true).toBool()),
      enter_sends_(file_.value("enter_sends", true).toBool()) {
    if (!QStringList{"system", "light", "dark"}.contains(theme_))
        theme_ = "system";
    if (std::isnan(zoom_))
        zoom_ = 1;
}

void Preferences::set_theme(const QString& theme) {
    theme_ = theme;
    file_.setValue("theme", theme);
    Q_EMIT changed();
}

void Preferences::set_zoom(double zoom) {
    zoom_ = std::clamp(zoom, kLeastZoom, kMostZoom);
    file_.setValue("zoom", zoom_);
    Q_EMIT changed();
}

void Preferences::set_sidebar(bool shown) {
    sidebar_ = shown;
    file_.setValue("sidebar", shown);
    Q_EMIT changed();
}

void Preferences::set_enter_sends(bool sends) {
    enter_sends_ = sends;
    file_.setValue("enter_sends", sends);
    Q_EMIT changed();
}

int Preferences::width() const { return std::clamp(file_.value("width", 1120).toInt(), 360, 10'000); }
int Preferences::height() const { return std::clamp(file_.value("height", 760).toInt(), 320, 10'000); }

void Preferences::keep_size(int width, int height) {
    file_.setValue("width", width);
    file_.setValue("height", height);
}

void Preferences::set_model(const QString& path, int context) {
    file_.setValue("model", path);
    file_.setValue("context", context);
}

}  // namespace olivine::desktop
