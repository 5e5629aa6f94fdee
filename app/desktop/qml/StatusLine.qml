// Where the model runs, how fast, and how full its context is.
import QtQuick
import QtQuick.Layouts
import Olivine

RowLayout {
    id: line
    spacing: Theme.spacing * 1.5
    readonly property real full: App.contextLength > 0 ? App.conversation.contextUsed / App.contextLength : 0

    component Words: Text {
        color: Theme.muted
        font.pixelSize: Theme.small
        textFormat: Text.PlainText
        elide: Text.ElideRight
        visible: text !== ""
        Accessible.role: Accessible.StaticText
        Accessible.name: text
    }
    Words {
        objectName: "device"
        text: App.device
        Layout.maximumWidth: line.width * 0.35
    }
    Words {
        text: App.memory
        visible: text !== "" && line.width > 520 * Theme.zoom
    }
    Item { Layout.fillWidth: true }
    Words {
        objectName: "speed"
        text: App.conversation.speed
        visible: text !== "" && line.width > 620 * Theme.zoom
    }
    Words {
        objectName: "context"
        visible: App.contextLength > 0
        text: qsTr("%L1 of %L2 tokens").arg(App.conversation.contextUsed).arg(App.contextLength)
        Accessible.name: qsTr("Context: %1").arg(text)
    }
    Rectangle {
        visible: App.contextLength > 0
        implicitWidth: 60 * Theme.zoom
        implicitHeight: 5 * Theme.zoom
        radius: height / 2
        color: Theme.hover
        Rectangle {
            width: parent.width * Math.min(1, line.full)
            height: parent.height
            radius: parent.radius
            color: line.full > 0.9 ? Theme.danger : line.full > 0.75 ? Theme.warning : Theme.accent
        }
    }
}
